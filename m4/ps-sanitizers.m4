# PS_SANITIZERS
# -------------
# --enable-sanitizers[=LIST] sets PS_SAN_CFLAGS, for compiling and linking.
# A sanitizer that does not link stops configure: a build that was asked to
# check and does not is worse than none.
AC_DEFUN([PS_SANITIZERS],
[AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers@<:@=LIST@:>@],
        [build with sanitizers @<:@address,undefined@:>@])],
    [], [enable_sanitizers=no])
 AS_CASE([$enable_sanitizers],
    [no], [PS_SAN_CFLAGS=],
    [yes], [PS_SAN_CFLAGS="-fsanitize=address,undefined"],
    [PS_SAN_CFLAGS="-fsanitize=$enable_sanitizers"])
 AS_IF([test -n "$PS_SAN_CFLAGS"],
    [PS_SAN_CFLAGS="$PS_SAN_CFLAGS -fno-omit-frame-pointer"
     AC_MSG_CHECKING([whether $CC links with $PS_SAN_CFLAGS])
     ps_save_CFLAGS=$CFLAGS
     CFLAGS="$CFLAGS $PS_SAN_CFLAGS"
     AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])],
        [AC_MSG_RESULT([no])
         AC_MSG_ERROR([the sanitizers "$enable_sanitizers" do not link])])
     CFLAGS=$ps_save_CFLAGS])
 AC_SUBST([PS_SAN_CFLAGS])])
