"""The page on which people pledge: its built files, and the server that shows them on this machine."""
