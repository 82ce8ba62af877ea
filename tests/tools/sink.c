/*
 * An SMTP sink for tests: takes every mail, remembers who got it, and
 * misbehaves on cue. One thread, epoll, well above 10,000 mails a second.
 *
 * The record is what tests hold the ledger against, so its line is made when
 * the mail is complete, before the 250 is sent: a mail whose 250 went out is in
 * the record, also when the sink is ended by SIGTERM. Lines are gathered and
 * written before any reply of the same round of epoll leaves.
 *
 * What it does not do: relay, TLS, authentication, names. It is not a check of
 * SMTP clients either: it accepts what it understands.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/text.h"
#include "tests/tools/sink/cues.h"
#include "tests/tools/sink/record.h"

#define MAX_CLIENTS    2048
#define MAX_EVENTS     256
#define MAX_LINE_BYTES 2048               /* RFC 5321 asks for 1,000 */
#define MAX_MAIL_BYTES (16 * 1024 * 1024) /* what SIZE advertises */
#define READ_BYTES     65536
#define SLOW_MS        2000
#define IDLE_WAIT_MS   100

static const char help_text[] =
    "sink: an SMTP server for tests that keeps a record and misbehaves on cue\n"
    "\n"
    "  --listen HOST:PORT    IPv4; port 0 picks a free one (default 127.0.0.1:0); the port is printed\n"
    "  --port-file FILE      writes the port there, once it listens\n"
    "  --record FILE         appends a line for each accepted mail:\n"
    "                        time in us TAB Message-ID TAB envelope recipient\n"
    "  --keep N              saves the first N mails, and up to N more at random (default 0)\n"
    "  --keep-dir DIR        where, as NUMBER.eml\n"
    "  --advertise LIST      EHLO keywords, separated by commas (default PIPELINING,SIZE,8BITMIME)\n"
    "  --control-listen HOST:PORT   takes commands, a line each, and answers ok or error\n"
    "  --control-port-file FILE     writes that port there\n"
    "  --control-file FILE   a file of commands, carried out at the start and when it changes\n"
    "  --seed N              of the dice that percentages throw (default 1)\n"
    "  --help\n"
    "\n"
    "Each command is also a flag (--delay-ms 50):\n"
    "  delay-ms N                  waits before the reply to the end of the data\n"
    "  refuse-rcpt CODE:P%         answers RCPT with CODE for so many of a hundred\n"
    "  reply-data CODE:P%          answers the end of the data with CODE; the mail is not accepted\n"
    "  close-after-data P%         accepts and records the mail, then closes without a reply\n"
    "  close-before-data P%        closes at DATA\n"
    "  greeting CODE               greets with CODE and closes (220: normal)\n"
    "  refuse-mail CODE:P%         answers MAIL with CODE\n"
    "  max-per-connection N        421 after N mails on a connection (0: no limit)\n"
    "  stop-accepting              closes the listening port and all connections\n"
    "  start-accepting             listens again\n"
    "  normal                      all of the above off, and listens\n"
    "\n"
    "By the recipient's local part: \"+550\" and \"+450\" (any code from 400 to 599) are refused at RCPT,\n"
    "\"+data554\" at the end of the data, \"+close\" is recorded and closed without a reply, \"+drop\" is\n"
    "closed without being recorded, \"+slow\" waits two seconds, \"+once\" gets 450 the first time only.\n";

static struct {
    const char *listen, *port_file, *record, *keep_dir, *advertise;
    const char *control_listen, *control_port_file, *control_file;
    int64_t keep, seed;
} opt = {.listen = "127.0.0.1:0", .advertise = "PIPELINING,SIZE,8BITMIME", .seed = 1};

enum phase { AT_COMMAND, AT_DATA };

struct client {
    int fd;
    bool control; /* speaks commands and not SMTP */
    bool closing; /* once its output is gone */
    bool drop;    /* close now, whatever is in the output */
    enum phase phase;
    int64_t release_us; /* input waits until then; 0: no wait */
    int64_t mails;
    struct fp_str in, out, body;
    char rcpt[256];
    bool have_mail, have_rcpt;
    bool watching_out; /* epoll tells when there is room */
    int delayed_reply; /* to the data, at release_us; 0: none */
};

static struct client *clients[MAX_CLIENTS];
static int n_slots; /* above it no slot was ever used */
static int epoll_fd, listen_fd = -1, control_fd = -1;
static uint16_t listen_port;

void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fputs("sink: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

/* --- sockets -------------------------------------------------------------------------------- */

static int listen_on(const char *address, uint16_t port_instead, uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    char host[64];
    const char *colon = strrchr(address, ':');
    int64_t wanted;
    int one = 1;
    if (!colon || (size_t)(colon - address) >= sizeof(host) || !text_parse_i64(colon + 1, &wanted) ||
        wanted < 0 || wanted > 65535)
        die("%s is not HOST:PORT", address);
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
    a.sin_port = htons(port_instead ? port_instead : (uint16_t)wanted);
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        die("%s is not an IPv4 address", host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        die("cannot listen on %s: %s", address, strerror(errno));
    *port = ntohs(a.sin_port);
    return fd;
}

/* Events of the listening ports and of the signals carry their descriptor,
 * those of clients a slot above all descriptors that could be. */
#define CLIENT_EVENT(slot) ((uint64_t)1 << 32 | (uint64_t)(slot))

static void watch(int fd, uint32_t events, uint64_t what, int op)
{
    struct epoll_event e = {.events = events, .data.u64 = what};
    if (epoll_ctl(epoll_fd, op, fd, &e) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void write_port(const char *path, uint16_t port)
{
    if (!path)
        return;
    FILE *f = fopen(path, "we");
    if (!f || fprintf(f, "%u\n", port) < 0 || fclose(f) != 0)
        die("cannot write %s: %s", path, strerror(errno));
}

static void client_free(int slot)
{
    struct client *c = clients[slot];
    (void)close(c->fd);
    str_fini(&c->in);
    str_fini(&c->out);
    str_fini(&c->body);
    mem_free(c);
    clients[slot] = NULL;
}

static void stop_accepting(void)
{
    (void)close(listen_fd);
    listen_fd = -1;
    for (int i = 0; i < n_slots; i++)
        if (clients[i] && !clients[i]->control)
            clients[i]->drop = true;
}

/* The port stays the same, also when it was 0 at the start. */
static void obey_accepting(void)
{
    if (!cues_now.accepting && listen_fd >= 0) {
        stop_accepting();
    } else if (cues_now.accepting && listen_fd < 0) {
        listen_fd = listen_on(opt.listen, listen_port, &listen_port);
        watch(listen_fd, EPOLLIN, (uint64_t)listen_fd, EPOLL_CTL_ADD);
    }
}

/* --- the session ------------------------------------------------------------------------------------ */

static void reply(struct client *c, int code, const char *text)
{
    str_printf(&c->out, "%d %s\r\n", code, text);
}

static void refuse(struct client *c, int code, const char *what)
{
    if (code == 421) {
        c->closing = true;
        reply(c, code, "4.7.0 try again later, closing");
    } else if (code < 500) {
        str_printf(&c->out, "%d 4.2.0 %s refused for now\r\n", code, what);
    } else {
        str_printf(&c->out, "%d 5.1.1 %s refused\r\n", code, what);
    }
}

static void ehlo(struct client *c)
{
    const char *k = opt.advertise;
    str_puts(&c->out, "250-sink at your service\r\n");
    while (*k) {
        size_t len = strcspn(k, ",");
        bool size = len == 4 && strncasecmp(k, "SIZE", 4) == 0;
        str_printf(&c->out, "250-%.*s", (int)len, k);
        if (size)
            str_printf(&c->out, " %d", MAX_MAIL_BYTES);
        str_puts(&c->out, "\r\n");
        k += len + (k[len] == ',');
    }
    str_puts(&c->out, "250 ENHANCEDSTATUSCODES\r\n");
}

static bool take_address(const char *line, char out[256])
{
    const char *open = strchr(line, '<'), *close = open ? strchr(open, '>') : NULL;
    if (!close || close - open - 1 > 254)
        return false;
    (void)snprintf(out, 256, "%.*s", (int)(close - open - 1), open + 1);
    return true;
}

/* The "+word" of the recipient's local part, "" when there is none. */
static const char *local_word(const struct client *c)
{
    static char word[64];
    const char *plus = strchr(c->rcpt, '+');
    size_t len = plus ? strcspn(plus + 1, "@") : 0;
    (void)snprintf(word, sizeof(word), "%.*s", (int)len, plus ? plus + 1 : "");
    return word;
}

/* "+once": refused the first time. Remembered by a hash, for some thousands. */
static bool first_time(const char *rcpt)
{
    static uint64_t seen[4096];
    uint64_t h = 1469598103934665603u;
    for (const char *p = rcpt; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    uint64_t *slot = &seen[h % (sizeof(seen) / sizeof(seen[0]))];
    if (*slot == h)
        return false;
    *slot = h;
    return true;
}

static void rcpt(struct client *c, const char *line)
{
    int64_t code;
    if (!c->have_mail || c->have_rcpt || !take_address(line, c->rcpt)) {
        reply(c, c->have_mail ? 501 : 503, "5.5.1 one recipient, after MAIL");
        return;
    }
    const char *word = local_word(c);
    if (text_parse_i64(word, &code) && code >= 400 && code <= 599) {
        refuse(c, (int)code, "recipient");
    } else if (strcmp(word, "once") == 0 && first_time(c->rcpt)) {
        refuse(c, 450, "recipient");
    } else if (cues_dice(cues_now.rcpt.percent)) {
        refuse(c, cues_now.rcpt.code, "recipient");
    } else {
        c->have_rcpt = true;
        reply(c, 250, "2.1.5 ok");
    }
}

static void mail(struct client *c)
{
    if (cues_now.max_per_connection && c->mails >= cues_now.max_per_connection) {
        refuse(c, 421, "sender");
    } else if (cues_dice(cues_now.mail.percent)) {
        refuse(c, cues_now.mail.code, "sender");
    } else {
        c->have_mail = true;
        c->have_rcpt = false;
        reply(c, 250, "2.1.0 ok");
    }
}

static void start_data(struct client *c)
{
    if (!c->have_rcpt) {
        reply(c, 503, "5.5.1 no recipient");
        return;
    }
    if (cues_dice(cues_now.close_before)) {
        c->drop = true;
        return;
    }
    c->phase = AT_DATA;
    str_clear(&c->body);
    reply(c, 354, "go ahead");
}

static bool is_command(const char *line, const char *name)
{
    size_t len = strlen(name);
    return strncasecmp(line, name, len) == 0 && (line[len] == '\0' || line[len] == ' ' || line[len] == ':');
}

static void smtp_line(struct client *c, const char *line)
{
    if (is_command(line, "EHLO")) {
        ehlo(c);
    } else if (is_command(line, "HELO")) {
        reply(c, 250, "sink at your service");
    } else if (is_command(line, "MAIL FROM")) {
        mail(c);
    } else if (is_command(line, "RCPT TO")) {
        rcpt(c, line);
    } else if (is_command(line, "DATA")) {
        start_data(c);
    } else if (is_command(line, "RSET") || is_command(line, "NOOP")) {
        c->have_mail = c->have_rcpt = false;
        reply(c, 250, "2.0.0 ok");
    } else if (is_command(line, "QUIT")) {
        reply(c, 221, "2.0.0 bye");
        c->closing = true;
    } else {
        reply(c, 500, "5.5.2 not a command here");
    }
}

/* The whole mail is there. Decides the reply, and makes the record's line
 * first where the mail is accepted. */
static void end_data(struct client *c)
{
    const char *word = local_word(c);
    int64_t delay_ms = strcmp(word, "slow") == 0 ? SLOW_MS : cues_now.delay_ms, code = 0;
    bool refused =
        strncmp(word, "data", 4) == 0 && text_parse_i64(word + 4, &code) && code >= 400 && code <= 599;
    if (!refused && cues_dice(cues_now.data.percent)) {
        refused = true;
        code = cues_now.data.code;
    }
    c->phase = AT_COMMAND;
    c->have_mail = c->have_rcpt = false;
    c->mails++;
    if (strcmp(word, "drop") == 0) {
        c->drop = true;
        return;
    }
    if (!refused)
        record_mail(&c->body, c->rcpt);
    str_clear(&c->body);
    if (!refused && (strcmp(word, "close") == 0 || cues_dice(cues_now.close_after))) {
        c->drop = true;
        return;
    }
    c->delayed_reply = refused ? (int)code : 250;
    c->release_us = delay_ms ? clock_mono_us() + delay_ms * 1000 : 0;
}

static void delayed_reply(struct client *c)
{
    int code = c->delayed_reply;
    c->delayed_reply = 0;
    c->release_us = 0;
    if (code == 250)
        str_printf(&c->out, "250 2.0.0 queued as %" PRId64 "\r\n", record_count());
    else
        refuse(c, code, "mail");
}

/* Takes data up to the line with the dot; returns the bytes used. Dots that
 * begin a line are taken off. */
static size_t data_bytes(struct client *c, const char *p, size_t n)
{
    size_t used = 0;
    while (used < n) {
        const char *nl = memchr(p + used, '\n', n - used);
        if (!nl)
            break;
        const char *line = p + used;
        size_t len = (size_t)(nl - line) + 1;
        used += len;
        if (len == 3 && line[0] == '.' && line[1] == '\r') {
            end_data(c);
            return used;
        }
        if (line[0] == '.')
            str_add(&c->body, line + 1, len - 1);
        else
            str_add(&c->body, line, len);
    }
    return used;
}

static size_t line_bytes(struct client *c, const char *p, size_t n)
{
    char line[MAX_LINE_BYTES];
    const char *nl = memchr(p, '\n', n);
    if (!nl)
        return 0;
    size_t len = (size_t)(nl - p);
    if (len >= sizeof(line)) {
        reply(c, 500, "5.5.2 line too long");
        c->closing = true;
        return n;
    }
    (void)snprintf(line, sizeof(line), "%.*s", (int)(len && p[len - 1] == '\r' ? len - 1 : len), p);
    if (c->control)
        str_puts(&c->out, cues_line(line) ? "ok\n" : "error: not a command\n");
    else
        smtp_line(c, line);
    return len + 1;
}

static void session(struct client *c)
{
    size_t at = 0;
    if (c->delayed_reply && clock_mono_us() >= c->release_us)
        delayed_reply(c);
    while (at < c->in.len && !c->closing && !c->drop && !c->delayed_reply) {
        size_t used = c->phase == AT_DATA ? data_bytes(c, c->in.data + at, c->in.len - at)
                                          : line_bytes(c, c->in.data + at, c->in.len - at);
        if (used == 0)
            break;
        at += used;
        if (c->delayed_reply && !c->release_us)
            delayed_reply(c);
    }
    if (at > 0) {
        memmove(c->in.data, c->in.data + at, c->in.len - at);
        c->in.len -= at;
    }
    if (c->in.overflow || c->body.overflow)
        c->drop = true;
}

/* --- the loop ------------------------------------------------------------------------------------------ */

static void accept_clients(int fd, bool control)
{
    for (int slot = 0; slot < MAX_CLIENTS; slot++) {
        int one = 1;
        if (clients[slot])
            continue;
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0)
            return;
        (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct client *c = mem_alloc(sizeof(*c));
        c->fd = client;
        c->control = control;
        str_init(&c->in, MAX_MAIL_BYTES);
        str_init(&c->out, 1 << 20);
        str_init(&c->body, MAX_MAIL_BYTES);
        clients[slot] = c;
        n_slots = slot >= n_slots ? slot + 1 : n_slots;
        if (!control && cues_now.greeting != 220) {
            reply(c, cues_now.greeting, "no service here");
            c->closing = true;
        } else if (!control) {
            reply(c, 220, "sink ESMTP");
        }
        watch(client, EPOLLIN, CLIENT_EVENT(slot), EPOLL_CTL_ADD);
    }
}

/* False when the peer is gone. */
static bool read_input(struct client *c)
{
    char *room = str_room(&c->in, READ_BYTES);
    if (!room)
        return false;
    ssize_t n = read(c->fd, room, READ_BYTES);
    if (n > 0)
        str_grew(&c->in, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool write_output(struct client *c)
{
    if (c->out.len == 0)
        return true;
    ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    memmove(c->out.data, c->out.data + n, c->out.len - (size_t)n);
    c->out.len -= (size_t)n;
    return true;
}

/* The second half of a round: replies, after the record is written. */
static void serve_output(int slot)
{
    struct client *c = clients[slot];
    bool alive = !c->drop && write_output(c);
    if (!alive || (c->closing && c->out.len == 0)) {
        client_free(slot);
        return;
    }
    if ((c->out.len > 0) == c->watching_out)
        return;
    c->watching_out = c->out.len > 0;
    watch(c->fd, c->watching_out ? EPOLLIN | EPOLLOUT : EPOLLIN, CLIENT_EVENT(slot), EPOLL_CTL_MOD);
}

/* Until when the next delayed reply waits. */
static int wait_ms(void)
{
    int64_t now_us = clock_mono_us(), wait_us = IDLE_WAIT_MS * 1000;
    for (int i = 0; i < n_slots; i++)
        if (clients[i] && clients[i]->release_us && clients[i]->release_us - now_us < wait_us)
            wait_us = clients[i]->release_us - now_us;
    return wait_us <= 0 ? 0 : (int)(wait_us + 999) / 1000;
}

static bool handle_event(const struct epoll_event *e, int signals_fd)
{
    if (e->data.u64 & CLIENT_EVENT(0)) {
        int slot = (int)(uint32_t)e->data.u64;
        if (clients[slot] && e->events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !read_input(clients[slot]))
            clients[slot]->drop = true;
        return true;
    }
    int fd = (int)e->data.u64;
    if (fd == signals_fd)
        return false;
    accept_clients(fd, fd == control_fd);
    return true;
}

/* One round: input of all, the record, output of all. False: end. */
static bool turn(int signals_fd)
{
    struct epoll_event events[MAX_EVENTS];
    bool go = true;
    int n = epoll_wait(epoll_fd, events, MAX_EVENTS, wait_ms());
    for (int i = 0; i < n; i++)
        go &= handle_event(&events[i], signals_fd);
    cues_read_file(opt.control_file);
    for (int i = 0; i < n_slots; i++)
        if (clients[i])
            session(clients[i]);
    obey_accepting();
    record_write();
    for (int i = 0; i < n_slots; i++)
        if (clients[i])
            serve_output(i);
    return go;
}

static int watch_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        die("signalfd: %s", strerror(errno));
    watch(fd, EPOLLIN, (uint64_t)fd, EPOLL_CTL_ADD);
    return fd;
}

static void open_ports(void)
{
    listen_fd = listen_on(opt.listen, 0, &listen_port);
    watch(listen_fd, EPOLLIN, (uint64_t)listen_fd, EPOLL_CTL_ADD);
    if (opt.control_listen) {
        uint16_t port;
        control_fd = listen_on(opt.control_listen, 0, &port);
        watch(control_fd, EPOLLIN, (uint64_t)control_fd, EPOLL_CTL_ADD);
        write_port(opt.control_port_file, port);
    }
    write_port(opt.port_file, listen_port);
    (void)printf("%u\n", listen_port);
    (void)fflush(stdout);
}

/* --- flags ------------------------------------------------------------------------------------------------
 */

static bool parse_count(const char *text, int64_t *out)
{
    return text_parse_i64(text, out) && *out >= 0;
}

static bool set_option(const char *name, const char *value)
{
    const struct {
        const char *name, **text;
        int64_t *number;
    } rows[] = {
        {"listen", &opt.listen, NULL},
        {"port-file", &opt.port_file, NULL},
        {"record", &opt.record, NULL},
        {"keep", NULL, &opt.keep},
        {"keep-dir", &opt.keep_dir, NULL},
        {"advertise", &opt.advertise, NULL},
        {"control-listen", &opt.control_listen, NULL},
        {"control-port-file", &opt.control_port_file, NULL},
        {"control-file", &opt.control_file, NULL},
        {"seed", NULL, &opt.seed},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        if (!rows[i].text)
            return parse_count(value, rows[i].number);
        *rows[i].text = value;
        return true;
    }
    return cues_command(name, value);
}

static void parse_flags(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--help") == 0) {
            (void)fputs(help_text, stdout);
            exit(0);
        }
        if (strncmp(argv[i], "--", 2) == 0 && value && set_option(argv[i] + 2, value))
            continue;
        (void)fprintf(stderr, "sink: wrong flag or value: %s %s (see --help)\n", argv[i], value ? value : "");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1: %s", strerror(errno));
    parse_flags(argc, argv);
    cues_seed(opt.seed);
    record_open(opt.record, opt.keep_dir, opt.keep);
    int signals_fd = watch_signals();
    open_ports();
    while (turn(signals_fd))
        ;
    for (int i = 0; i < n_slots; i++)
        if (clients[i])
            client_free(i);
    record_close();
    return 0;
}
