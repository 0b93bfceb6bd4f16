/* Holds N viewers of one HTTP stream and throws the bytes away: the load of a fan-out.
 *
 *   flv_sink PORT PATH N SECONDS
 *
 * All viewers connect, SETTLE_MS later the window begins. Prints the bytes of the window, viewers that were closed or got nothing,
 * and the longest time that any viewer heard nothing, as JSON. Every viewer is emptied 200 times a second, so a silence is 5 ms
 * too long at most.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_VIEWERS = 8192, BUFFER = 1 << 20, SETTLE_MS = 3000, LOOK_MS = 5 };

struct viewer { int fd; double heard; uint64_t bytes; };

static struct viewer viewers[MAX_VIEWERS];

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void join(struct viewer *v, int port, const char *path, int ep)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[4096];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n", path, port);
    v->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (v->fd < 0 || connect(v->fd, (struct sockaddr *)&to, sizeof to) || write(v->fd, request, (size_t)n) != n) {
        perror("viewer");
        exit(2);
    }
    fcntl(v->fd, F_SETFL, O_NONBLOCK);
    v->heard = now_ms();
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = v};
    epoll_ctl(ep, EPOLL_CTL_ADD, v->fd, &e);
}

int main(int argc, char **argv)
{
    static uint8_t buffer[BUFFER];
    static struct epoll_event ready[MAX_VIEWERS];
    int count = argc == 5 ? atoi(argv[3]) : 0, closed = 0, stalled = 0, ep = epoll_create1(0);
    if (count < 1 || count > MAX_VIEWERS) {
        fprintf(stderr, "usage: flv_sink PORT PATH N SECONDS\n");
        return 2;
    }
    for (int i = 0; i < count; i++) join(&viewers[i], atoi(argv[1]), argv[2], ep);
    double begin = now_ms() + SETTLE_MS, end = begin + atof(argv[4]) * 1e3, silence = 0, now;
    uint64_t total = 0;
    int told = 0;
    while ((now = now_ms()) < end) {
        int counts = now >= begin;
        if (counts && !told) {
            printf("begin\n");
            fflush(stdout);
            told = 1;
        }
        int n = epoll_wait(ep, ready, MAX_VIEWERS, 100);
        for (int i = 0; i < n; i++) {
            struct viewer *v = ready[i].data.ptr;
            ssize_t got = read(v->fd, buffer, sizeof buffer);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) {
                epoll_ctl(ep, EPOLL_CTL_DEL, v->fd, NULL);
                close(v->fd);
                v->fd = -1;
                closed++;
                continue;
            }
            double at = now_ms();
            if (counts) {
                if (at - v->heard > silence && v->heard >= begin) silence = at - v->heard;
                total += (uint64_t)got;
            }
            v->bytes += (uint64_t)got;
            v->heard = at;
        }
        usleep(LOOK_MS * 1000);
    }
    for (int i = 0; i < count; i++) stalled += viewers[i].fd >= 0 && end - viewers[i].heard > 1000;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("{\"viewers\": %d, \"bytes\": %llu, \"closed\": %d, \"stalled\": %d, \"longest_silence_ms\": %.0f, \"cpu_s\": %.3f}\n", count,
           (unsigned long long)total, closed, stalled, silence,
           (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return 0;
}
