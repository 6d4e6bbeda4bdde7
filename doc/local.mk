# Manual pages, with the paths of this build, and the documents.

ps_man_pages = \
	%D%/polysocket.conf.5 \
	%D%/polysocket.fcgi.8 \
	%D%/wsbridge.8

man_MANS += $(ps_man_pages)
ps_generated += $(ps_man_pages)

EXTRA_DIST += \
	%D%/applications.md \
	%D%/architecture.md \
	%D%/asyncapi.yaml \
	%D%/http-api.md \
	%D%/ipc.md \
	%D%/openapi.yaml \
	%D%/operations.md \
	%D%/options.awk
