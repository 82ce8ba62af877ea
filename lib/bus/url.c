/*
 * Parsing of bus addresses, strictly: what is wrong is said before any socket
 * is opened. NNG knows more schemes than we want: the ipc:// listener of
 * NNG 1.5 goes deaf for ever after one aborted connection, inproc:// and ws://
 * do not cross pods or bring HTTP along.
 */
#include "lib/bus/url.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/text.h"
#include "lib/bus/bus.h"

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int parse_scheme(const char *url, const char **rest, struct bus_url *out, struct fp_err *err)
{
    out->tls = starts_with(url, "tls+tcp://");
    if (out->tls || starts_with(url, "tcp://")) {
        *rest = strstr(url, "://") + 3;
        return 0;
    }
    if (starts_with(url, "ipc://"))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "address \"%s\": ipc:// is not supported (its listener can go deaf in NNG 1.5); "
                       "write tcp://127.0.0.1:PORT",
                       url);
    return err_set(err, FP_INVALID_ARGUMENT, "address \"%s\": must begin with tcp:// or tls+tcp://", url);
}

static bool valid_host(const char *host, bool brackets)
{
    const char *extra = brackets ? ":.%" : ".-_";
    for (const char *s = host; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && strchr(extra, *s) == NULL)
            return false;
    return *host != '\0';
}

static int parse_one(const char *url, bool listen, struct bus_url *out, struct fp_err *err)
{
    const char *rest = NULL;
    if (parse_scheme(url, &rest, out, err) != 0)
        return -1;
    bool brackets = *rest == '[';
    const char *end = brackets ? strchr(++rest, ']') : strrchr(rest, ':');
    size_t bytes = end != NULL ? (size_t)(end - rest) : 0;
    if (end == NULL || bytes >= sizeof out->host || (brackets && *++end != ':'))
        return err_set(err, FP_INVALID_ARGUMENT, "address \"%s\": must be %s://HOST:PORT", url,
                       out->tls ? "tls+tcp" : "tcp");
    snprintf(out->host, sizeof out->host, "%.*s", (int)bytes, rest);
    if (listen && !brackets && strcmp(out->host, "*") == 0)
        out->host[0] = '\0';
    else if (!valid_host(out->host, brackets) && !(listen && bytes == 0))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "address \"%s\": host \"%s\" is not a name or an IP address%s", url, out->host,
                       strchr(out->host, ':') != NULL ? " (IPv6 goes in brackets: [::1])" : "");
    int64_t port;
    if (!text_parse_i64(end + 1, &port) || port < (listen ? 0 : 1) || port > 65535)
        return err_set(err, FP_INVALID_ARGUMENT, "address \"%s\": port \"%s\" is not in %d..65535", url,
                       end + 1, listen ? 0 : 1);
    snprintf(out->port, sizeof out->port, "%d", (int)port);
    return 0;
}

int bus_urls_parse(const char *urls, bool listen, struct bus_url out[BUS_MAX_URLS], struct fp_err *err)
{
    int n = 0;
    for (const char *at = urls;; at++) {
        char one[320];
        size_t bytes = strcspn(at, ",");
        if (bytes >= sizeof one)
            return err_set(err, FP_INVALID_ARGUMENT, "address \"%.40s...\": longer than %zu characters", at,
                           sizeof one - 1);
        snprintf(one, sizeof one, "%.*s", (int)bytes, at);
        if (n == (listen ? 1 : BUS_MAX_URLS))
            return err_set(err, FP_INVALID_ARGUMENT, "addresses \"%s\": more than %d", urls, n);
        if (one[0] == '\0')
            return err_set(err, FP_INVALID_ARGUMENT,
                           n == 0 ? "no address: expected tcp://HOST:PORT"
                                  : "addresses \"%s\": one of them is empty",
                           urls);
        if (parse_one(one, listen, &out[n++], err) != 0)
            return -1;
        at += bytes;
        if (*at == '\0')
            return n;
    }
}

void bus_url_format(const struct bus_url *u, const char *host, char *out, int cap)
{
    bool v6 = strchr(host, ':') != NULL;
    snprintf(out, (size_t)cap, "%s://%s%s%s:%s", u->tls ? "tls+tcp" : "tcp", v6 ? "[" : "", host,
             v6 ? "]" : "", u->port);
}

bool bus_url_is_loopback(const struct bus_url *u)
{
    return starts_with(u->host, "127.") || strcmp(u->host, "::1") == 0 ||
           strcasecmp(u->host, "localhost") == 0;
}

int bus_check_urls(const char *urls, bool listen, struct fp_err *err)
{
    struct bus_url out[BUS_MAX_URLS];
    return bus_urls_parse(urls, listen, out, err) < 0 ? -1 : 0;
}
