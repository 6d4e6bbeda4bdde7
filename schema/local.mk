# The database: its schema, and the steps from one version to the next.

dist_pkgdata_DATA = %D%/schema.sql
upgradedir = $(pkgdatadir)/upgrade
dist_upgrade_DATA = %D%/upgrade/0002-tokens-and-records.sql
