"""One module for each word of the command; none of them is imported before its word is used."""
