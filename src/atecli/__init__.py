"""The command `ate`; it holds no rule about chains, all that it knows comes from the library."""
