m4_ifndef([PKG_CHECK_MODULES],
    [m4_fatal([pkg.m4 was not found; on Debian: apt-get install pkg-config])])

# PS_REQUIRE(PREFIX, MODULES, DEBIAN-PACKAGE)
# -------------------------------------------
# PKG_CHECK_MODULES that remembers what is missing instead of stopping, so
# that one run of configure names everything there is to install.
AC_DEFUN([PS_REQUIRE],
[PKG_CHECK_MODULES([$1], [$2], [],
    [AC_MSG_WARN([$2 was not found (Debian package $3): $[]$1[]_PKG_ERRORS])
     ps_missing_packages="$ps_missing_packages $3"])])

# PS_REQUIRE_DONE
# ---------------
AC_DEFUN([PS_REQUIRE_DONE],
[AS_IF([test -n "$ps_missing_packages"],
    [AC_MSG_ERROR([libraries are missing; on Debian:
    apt-get install$ps_missing_packages])])])
