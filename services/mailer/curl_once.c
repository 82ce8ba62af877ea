/*
 * With CURLOPT_NOSIGNAL libcurl leaves SIGPIPE of TLS writes to the program:
 * a connection that breaks must not end it.
 */
#include "services/mailer/curl_once.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>

#include "lib/base/err.h"

static void initialise(void)
{
    struct sigaction now;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        fp_panic("libcurl cannot be initialised");
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

void curl_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, initialise);
}
