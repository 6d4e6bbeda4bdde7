# The database: its schema, and the steps from one version to the next, in
# their order.

ps_schema_files = %D%/schema.sql $(ps_schema_upgrades)
ps_schema_upgrades = \
	%D%/upgrade/0002-tokens-and-records.sql \
	%D%/upgrade/0003-channels.sql \
	%D%/upgrade/0004-applications.sql

dist_pkgdata_DATA = %D%/schema.sql
upgradedir = $(pkgdatadir)/upgrade
dist_upgrade_DATA = $(ps_schema_upgrades)
