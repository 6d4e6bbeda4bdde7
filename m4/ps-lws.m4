# PS_LWS_UV_PLUGIN
# ----------------
# libwebsockets runs on libuv by a module that it loads at run time, in Debian
# a package of its own that nothing depends on. Without it every context we
# make fails, so ask for one here. When cross-compiling nothing can be run;
# the module is then the administrator's business on the target machine.
AC_DEFUN([PS_LWS_UV_PLUGIN],
[AC_CACHE_CHECK([whether libwebsockets runs on libuv], [ps_cv_lws_uv],
    [ps_save_CPPFLAGS=$CPPFLAGS
     ps_save_LIBS=$LIBS
     CPPFLAGS="$CPPFLAGS $LWS_CFLAGS $UV_CFLAGS"
     LIBS="$LWS_LIBS $UV_LIBS $LIBS"
     AC_RUN_IFELSE([AC_LANG_PROGRAM(
        [[#include <string.h>
          #include <uv.h>
          #include <libwebsockets.h>]],
        [[struct lws_context_creation_info info;
          struct lws_context *context;
          uv_loop_t loop;
          void *loops[1] = { &loop };

          memset(&info, 0, sizeof(info));
          lws_set_log_level(0, NULL);
          if (uv_loop_init(&loop) != 0)
                  return 1;
          info.port = CONTEXT_PORT_NO_LISTEN;
          info.options = LWS_SERVER_OPTION_LIBUV;
          info.foreign_loops = loops;
          context = lws_create_context(&info);
          return context == NULL;]])],
        [ps_cv_lws_uv=yes], [ps_cv_lws_uv=no],
        [ps_cv_lws_uv="not checked when cross-compiling"])
     CPPFLAGS=$ps_save_CPPFLAGS
     LIBS=$ps_save_LIBS])
 AS_IF([test "$ps_cv_lws_uv" = no],
    [AC_MSG_ERROR([libwebsockets cannot use libuv; on Debian:
    apt-get install libwebsockets-evlib-uv])])])
