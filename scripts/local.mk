# For working on polysocket; nothing of it is installed.

EXTRA_DIST += \
	%D%/check \
	%D%/demo \
	%D%/demo.html \
	%D%/demo.py \
	%D%/packages.sh
