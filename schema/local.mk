# The database: its schema, and later the steps from one number to the next.

dist_pkgdata_DATA = %D%/schema.sql
