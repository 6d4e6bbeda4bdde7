# PS_CHECK_CFLAG(VARIABLE, FLAG)
# ------------------------------
# Appends FLAG to VARIABLE if the compiler knows it. clang only warns of an
# unknown warning option, hence -Werror for the test.
AC_DEFUN([PS_CHECK_CFLAG],
[AS_VAR_PUSHDEF([cache], [ps_cv_cflag_$2])
 AC_CACHE_CHECK([whether $CC takes $2], [cache],
    [ps_save_CFLAGS=$CFLAGS
     CFLAGS="$CFLAGS -Werror $2"
     AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
        [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
     CFLAGS=$ps_save_CFLAGS])
 AS_VAR_IF([cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
 AS_VAR_POPDEF([cache])])

# PS_WARNINGS
# -----------
# Sets PS_WARN_CFLAGS. Warnings are errors only on request: a release must
# build with compilers that are newer than it.
AC_DEFUN([PS_WARNINGS],
[AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [treat warnings as errors])],
    [], [enable_werror=no])
 m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes
    -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2
    -Wundef -Wswitch -fstack-protector-strong],
    [PS_CHECK_CFLAG([PS_WARN_CFLAGS], flag)
])
 AS_IF([test "$enable_werror" = yes],
    [AS_VAR_APPEND([PS_WARN_CFLAGS], [" -Werror"])])
 AC_SUBST([PS_WARN_CFLAGS])])
