/* libcurl's global state: once for the process, before its first handle. */
#ifndef FP_MAILER_CURL_ONCE_H
#define FP_MAILER_CURL_ONCE_H

/* From any thread, any number of times. */
void curl_once(void);

#endif
