# Web applications behind polysocket, for reading; nothing of it is installed.

EXTRA_DIST += \
	%D%/README.md \
	%D%/apache.conf \
	%D%/chat \
	%D%/chat-php \
	%D%/chat-python \
	%D%/chat.ini \
	%D%/lighttpd.conf \
	%D%/verify.php \
	%D%/verify.py
