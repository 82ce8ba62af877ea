/* Addresses of the bus and the RPC: scheme://host:port and nothing behind it. */
#ifndef FP_BUS_URL_H
#define FP_BUS_URL_H

#include <stdbool.h>

#include "lib/base/err.h"

#define BUS_MAX_URLS 16 /* in one list; names with many addresses count once */

struct bus_url {
    bool tls;
    char host[256]; /* a name, IPv4, or IPv6 without its brackets; "" means every address */
    char port[6];
};

/* A list separated by commas: returns how many, at most BUS_MAX_URLS; -1 with
 * INVALID_ARGUMENT and the wrong part. listen: a single one, port 0 and host *
 * are allowed. */
int bus_urls_parse(const char *urls, bool listen, struct bus_url out[BUS_MAX_URLS],
                   struct fp_err *err) FP_MUST_CHECK;

/* As NNG wants it: "tls+tcp://[::1]:7701". */
void bus_url_format(const struct bus_url *u, const char *host, char *out, int cap);

/* 127.0.0.0/8, ::1 or localhost: traffic that stays on the machine. */
bool bus_url_is_loopback(const struct bus_url *u);

#endif
