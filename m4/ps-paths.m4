# PS_STANDARD_PATHS
# -----------------
# Below /usr, /usr/local and /opt nothing may vary (FHS), and systemd makes its
# run-time and state directories in /run and /var: there the defaults of
# Autoconf, /usr/local/var and its like, would name places nobody makes.
# Anything given on the command line stands, and so does any other prefix.
AC_DEFUN([PS_STANDARD_PATHS],
[AS_CASE([$prefix], [NONE|/usr|/usr/local|/opt|/opt/*],
    [AS_IF([test "$localstatedir" = '${prefix}/var'], [localstatedir=/var])
     AS_IF([test "$runstatedir" = '${localstatedir}/run'],
        [runstatedir=/run])])
 AS_IF([test "$prefix" = /usr && test "$sysconfdir" = '${prefix}/etc'],
    [sysconfdir=/etc])])
