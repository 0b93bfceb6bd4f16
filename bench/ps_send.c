/* Sends one program stream file as N real-time RTP streams, over UDP (with segmentation offload) or TCP (RFC 4571).
 *
 *   ps_send FILE SECONDS udp|tcp < targets
 *
 * A target is a line "HOST PORT SSRC"; its stream begins when the line comes, and all end SECONDS after the end of the lines. The
 * file is cut at its pack headers, paced by their clock (SCR) and looped. What was sent is printed as JSON: `window_bytes` since the
 * end of the lines; `late_ms`, the worst delay against the clock in that time: a sender that ran late measured itself.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { PAYLOAD = 1400, HEADER = 12, BURST = 40, MAX_STREAMS = 4096 };

struct pack { size_t off, len; uint64_t at_us; };

struct stream {
    int fd;
    uint32_t ssrc, ts0;
    uint16_t seq;
    uint64_t start_us, next_pack, packets, bytes;
};

static uint8_t *file;
static size_t file_len, packs_len;
static struct pack *packs;
static uint64_t loop_us;
static int tcp;
static struct stream streams[MAX_STREAMS];
static size_t streams_len;
static uint64_t errors;

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* SCR base of a pack header (ISO/IEC 13818-1), 90 kHz. */
static uint64_t scr(const uint8_t *p)
{
    return (uint64_t)(p[4] >> 3 & 7) << 30 | (uint64_t)(p[4] & 3) << 28 | (uint64_t)p[5] << 20 | (uint64_t)(p[6] >> 3) << 15 |
           (uint64_t)(p[6] & 3) << 13 | (uint64_t)p[7] << 5 | p[8] >> 3;
}

static void load(const char *name)
{
    FILE *in = fopen(name, "rb");
    if (!in) die(name);
    fseek(in, 0, SEEK_END);
    file_len = (size_t)ftell(in);
    rewind(in);
    file = malloc(file_len);
    packs = malloc(sizeof *packs * (file_len / 14 + 1));
    if (!file || !packs || fread(file, 1, file_len, in) != file_len) die(name);
    fclose(in);
    for (size_t i = 0; i + 14 <= file_len; i++) {
        if (file[i] || file[i + 1] || file[i + 2] != 1 || file[i + 3] != 0xba) continue;
        if (packs_len) packs[packs_len - 1].len = i - packs[packs_len - 1].off;
        packs[packs_len++] = (struct pack){i, file_len - i, scr(file + i)};
        i += 13;
    }
    if (packs_len < 2) {
        fprintf(stderr, "%s: no program stream\n", name);
        exit(2);
    }
    uint64_t first = packs[0].at_us;  /* the clock may wrap at 33 bits right at the start */
    for (size_t i = 0; i < packs_len; i++) packs[i].at_us = ((packs[i].at_us - first) & 0x1ffffffffu) * 100 / 9;
    loop_us = packs[packs_len - 1].at_us + packs[1].at_us;
}

static void add_target(const char *line, uint64_t now)
{
    char host[64];
    unsigned port, ssrc;
    if (sscanf(line, "%63s %u %u", host, &port, &ssrc) != 3 || streams_len == MAX_STREAMS) return;
    struct stream *s = &streams[streams_len];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    s->fd = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    int size = 1 << 20, one = 1;
    setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (tcp) setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    s->ssrc = ssrc;
    s->seq = (uint16_t)(streams_len * 7919);
    s->ts0 = (uint32_t)streams_len * 90000u;
    s->start_us = now;
    streams_len++;
}

/* Targets come while others are served; returns 0 at the end of them. */
static int read_targets(uint64_t now)
{
    static char buffer[1 << 16];
    static size_t fill;
    for (;;) {
        ssize_t n = read(0, buffer + fill, sizeof buffer - fill - 1);
        if (n == 0) return 0;
        if (n < 0) return 1;
        fill += (size_t)n;
        buffer[fill] = 0;
        char *line = buffer, *end;
        for (; (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            add_target(line, now);
        }
        fill = (size_t)(buffer + fill - line);
        memmove(buffer, line, fill);
    }
}

static void put_header(uint8_t *h, struct stream *s, uint32_t ts, int marker)
{
    h[0] = 0x80;
    h[1] = (uint8_t)(96 | marker << 7);
    h[2] = (uint8_t)(s->seq >> 8);
    h[3] = (uint8_t)s->seq++;
    for (int i = 0; i < 4; i++) {
        h[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
        h[8 + i] = (uint8_t)(s->ssrc >> (24 - 8 * i));
    }
}

/* A run of equal packets and perhaps a shorter last one goes out as one datagram that the kernel cuts (UDP_SEGMENT). */
static void send_udp(struct stream *s, const struct pack *p, uint32_t ts)
{
    static uint8_t out[BURST * (PAYLOAD + HEADER)];
    size_t off = 0;
    while (off < p->len) {
        size_t n = 0, fill = 0;
        for (; n < BURST && off < p->len; n++) {
            size_t len = p->len - off < PAYLOAD ? p->len - off : PAYLOAD;
            put_header(out + fill, s, ts, off + len == p->len);
            memcpy(out + fill + HEADER, file + p->off + off, len);
            fill += HEADER + len;
            off += len;
        }
        char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
        struct iovec iov = {out, fill};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
        *(uint16_t *)CMSG_DATA(c) = PAYLOAD + HEADER;
        if (sendmsg(s->fd, &m, 0) < 0) errors++;
        s->packets += n;
    }
    s->bytes += p->len;
}

static void send_tcp(struct stream *s, const struct pack *p, uint32_t ts)
{
    static uint8_t out[1 << 21];
    size_t fill = 0;
    for (size_t off = 0; off < p->len;) {
        size_t len = p->len - off < PAYLOAD ? p->len - off : PAYLOAD;
        if (fill + len + HEADER + 2 > sizeof out) break;
        out[fill] = (uint8_t)((len + HEADER) >> 8);
        out[fill + 1] = (uint8_t)(len + HEADER);
        put_header(out + fill + 2, s, ts, off + len == p->len);
        memcpy(out + fill + 2 + HEADER, file + p->off + off, len);
        fill += 2 + HEADER + len;
        off += len;
        s->packets++;
    }
    for (size_t sent = 0; sent < fill;) {
        ssize_t n = send(s->fd, out + sent, fill - sent, MSG_NOSIGNAL);
        if (n < 0) {
            errors++;
            return;
        }
        sent += (size_t)n;
    }
    s->bytes += p->len;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: ps_send FILE SECONDS udp|tcp < targets\n");
        return 2;
    }
    tcp = !strcmp(argv[3], "tcp");
    load(argv[1]);
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    uint64_t span = (uint64_t)(atof(argv[2]) * 1e6), end = UINT64_MAX, late = 0, before = 0, begun = 0;
    for (;;) {
        uint64_t now = now_us(), soonest = now + 20000;
        if (end == UINT64_MAX && !read_targets(now)) {
            end = now + span;
            begun = now;
            for (size_t i = 0; i < streams_len; i++) before += streams[i].bytes;
        }
        if (now >= end) break;
        for (size_t i = 0; i < streams_len; i++) {
            struct stream *s = &streams[i];
            for (;;) {
                const struct pack *p = &packs[s->next_pack % packs_len];
                uint64_t media = s->next_pack / packs_len * loop_us + p->at_us, due = s->start_us + media;
                if (due > now) {
                    if (due < soonest) soonest = due;
                    break;
                }
                if (begun && now - due > late) late = now - due;
                uint32_t ts = s->ts0 + (uint32_t)(media * 9 / 100);
                if (tcp) send_tcp(s, p, ts); else send_udp(s, p, ts);
                s->next_pack++;
            }
        }
        now = now_us();
        if (soonest > now) usleep((useconds_t)(soonest - now));
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    uint64_t packets = 0, bytes = 0;
    printf("{\"streams\": [");
    for (size_t i = 0; i < streams_len; i++) {
        struct stream *s = &streams[i];
        printf("%s{\"ssrc\": %u, \"packets\": %llu, \"bytes\": %llu}", i ? ", " : "", s->ssrc, (unsigned long long)s->packets,
               (unsigned long long)s->bytes);
        packets += s->packets;
        bytes += s->bytes;
        close(s->fd);
    }
    printf("], \"packets\": %llu, \"bytes\": %llu, \"window_bytes\": %llu, \"errors\": %llu, \"late_ms\": %.1f, \"cpu_s\": %.3f}\n",
           (unsigned long long)packets, (unsigned long long)bytes, (unsigned long long)(bytes - before), (unsigned long long)errors, (double)late / 1000,
           (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return 0;
}
