"""The description of the HTTP interface, for programs (OpenAPI) and for people (/docs)."""
