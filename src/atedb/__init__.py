"""The server: keeps and orders chains that it cannot read; it holds no key of theirs."""
