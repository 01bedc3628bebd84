"""The command `ate`; it holds no rule about chains, and everything it knows comes from the library."""
