/* Receives N RTP streams and appends their payload to files: the least work that a recorder can do.
 *
 *   ps_floor N udp|tcp TICK_MS FOLDER
 *
 * Prints a line "HOST PORT SSRC" for each stream, as ps_send reads them, and receives until its own input ends. Every TICK_MS the
 * ready sockets are emptied (0: whenever one is ready), the sequence numbers are checked, and 256 KiB of a stream are written at
 * once. At the end it prints what came as JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 256, SLOT = 2048, BLOCK = 256 << 10, FRAMES = 512 << 10, MAX_STREAMS = 4096 };

struct stream {
    int fd, file, listening, begun;
    uint16_t seq;
    uint8_t *block, *frames; /* not yet written; TCP: not yet cut */
    size_t fill, held;
};

static struct stream streams[MAX_STREAMS];
static uint64_t packets, bytes, lost, disordered;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void flush(struct stream *s)
{
    for (size_t done = 0; done < s->fill;) {
        ssize_t n = write(s->file, s->block + done, s->fill - done);
        if (n < 0) die("write");
        done += (size_t)n;
    }
    s->fill = 0;
}

static void packet(struct stream *s, const uint8_t *p, size_t n)
{
    if (n < 12 || p[0] >> 6 != 2) return;
    size_t head = 12 + 4 * (size_t)(p[0] & 15);
    if (p[0] & 16 && head + 4 <= n) head += 4 + 4 * (size_t)(p[head + 2] << 8 | p[head + 3]);
    if (head > n) return;
    uint16_t seq = (uint16_t)(p[2] << 8 | p[3]), step = (uint16_t)(seq - s->seq);
    if (s->begun && step != 1) {
        if (step && step < 0x8000) lost += step - 1u; else disordered++;
    }
    s->begun = 1;
    s->seq = seq;
    packets++;
    bytes += n - head;
    if (s->fill + n - head > BLOCK) flush(s);
    memcpy(s->block + s->fill, p + head, n - head);
    s->fill += n - head;
}

static void read_udp(struct stream *s)
{
    static uint8_t slab[BATCH][SLOT];
    static struct iovec iov[BATCH];
    static struct mmsghdr in[BATCH];
    int n;
    do {
        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){slab[i], SLOT};
            in[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
        }
        n = recvmmsg(s->fd, in, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) packet(s, slab[i], in[i].msg_len);
    } while (n == BATCH);
}

static void read_tcp(struct stream *s, int ep)
{
    if (s->listening) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0) return;
        close(s->fd);
        s->fd = fd;
        s->listening = 0;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
        return;
    }
    ssize_t n = recv(s->fd, s->frames + s->held, FRAMES - s->held, MSG_DONTWAIT);
    if (n == 0) epoll_ctl(ep, EPOLL_CTL_DEL, s->fd, NULL);
    if (n <= 0) return;
    s->held += (size_t)n;
    size_t at = 0;
    while (s->held - at >= 2) {
        size_t len = (size_t)(s->frames[at] << 8 | s->frames[at + 1]);
        if (s->held - at < 2 + len) break;
        packet(s, s->frames + at + 2, len);
        at += 2 + len;
    }
    memmove(s->frames, s->frames + at, s->held - at);
    s->held -= at;
}

static void begin(struct stream *s, int number, int tcp, const char *folder, int ep)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int size = 1 << 20;
    char name[4096];
    s->fd = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (s->fd < 0) die("socket");
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)) setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(s->fd, (struct sockaddr *)&a, sizeof a) || getsockname(s->fd, (struct sockaddr *)&a, &len)) die("bind");
    if (tcp && listen(s->fd, 1)) die("listen");
    s->listening = tcp;
    snprintf(name, sizeof name, "%s/%d.ps", folder, number);
    s->file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    s->block = malloc(BLOCK);
    s->frames = tcp ? malloc(FRAMES) : NULL;
    if (s->file < 0 || !s->block || (tcp && !s->frames)) die(name);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &e)) die("epoll_ctl");
    printf("127.0.0.1 %u %d\n", ntohs(a.sin_port), number + 1);
}

int main(int argc, char **argv)
{
    int count = argc == 5 ? atoi(argv[1]) : 0;
    if (count < 1 || count > MAX_STREAMS) {
        fprintf(stderr, "usage: ps_floor N udp|tcp TICK_MS FOLDER\n");
        return 2;
    }
    int tcp = !strcmp(argv[2], "tcp"), tick = atoi(argv[3]), ep = epoll_create1(0);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 0; i < count; i++) begin(&streams[i], i, tcp, argv[4], ep);
    fflush(stdout);
    static struct epoll_event ready[MAX_STREAMS];
    uint64_t next = now_ms();
    for (;;) {
        next += (uint64_t)tick;
        uint64_t now = now_ms();
        int left = tick && next > now ? (int)(next - now) : 0;
        if (!left) next = now;
        /* The end of the input is seen once a tick and costs nothing more. */
        struct pollfd input = {.fd = 0, .events = POLLIN};
        if (poll(&input, 1, left) > 0) break;
        int n = epoll_wait(ep, ready, MAX_STREAMS, tick ? 0 : 100);
        for (int i = 0; i < n; i++) {
            if (tcp) read_tcp(ready[i].data.ptr, ep); else read_udp(ready[i].data.ptr);
        }
    }
    for (int i = 0; i < count; i++) flush(&streams[i]);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("{\"packets\": %llu, \"bytes\": %llu, \"lost\": %llu, \"disordered\": %llu, \"cpu_s\": %.3f, \"peak_kib\": %ld}\n",
           (unsigned long long)packets, (unsigned long long)bytes, (unsigned long long)lost, (unsigned long long)disordered,
           (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
           used.ru_maxrss);
    return 0;
}
