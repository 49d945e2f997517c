// SSE fan-out load client: N subscribers on epoll, publisher threads doing keep-alive POSTs, loopback only.
//   cc -O2 -o sseload sseload.c -lpthread
//   sseload -p PORT -n SUBSCRIBERS -m EVENTS [-r RATE/s, 0 = as fast as acknowledged] [-c PUBLISHERS] [-s PAYLOAD] [-z
//   STUCK_READERS]
//           [-b BODY_TEMPLATE] [-u SUBSCRIBE_PATH] [-w PUBLISH_PATH] [-H 'Header: value'] [-i SERVER_PID,PID..] [-t
//           TIMEOUT_S]
// Each event carries @t=<CLOCK_MONOTONIC ns> in some text of it (-b: body template, %T time, %S number, %P padding);
// delivery latency = now - t at the subscriber.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    int fd;
    int st;
    uint64_t num;
    int hdr;
} conn;
static int port = 8000, subs = 1000, events = 1000, payload = 200, pubs = 1, stuck = 0;
static double rate = 0;
static const char *tmpl = "{\"type\":\"bot-activity\",\"botId\":\"bot-1\",\"activity\":\"@t=%T n=%S %P\"}";
static const char *host = "127.0.0.1", *sub_path = "/events", *pub_path = "/pub", *hdr = "";
static char *pids = 0;
static double settle = 1.0, timeout_s = 60;
static conn *cs;
static uint32_t *lat;
static size_t nlat, caplat;
static _Atomic int pub_done;
static double pub_secs;
static _Atomic int pub_errors;
static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &a.sin_addr);
    static unsigned k; // spread over source addresses 127.0.0.2.. so that ports suffice
    struct sockaddr_in s = {.sin_family = AF_INET};
    s.sin_addr.s_addr = htonl(0x7f000002 + (k++ / 20000));
    bind(fd, (void *)&s, sizeof s);
    if (connect(fd, (void *)&a, sizeof a)) {
        perror("connect");
        exit(1);
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}
static void cpu_rss(double *cpu, long *rss) {
    *cpu = 0;
    *rss = 0;
    if (!pids)
        return;
    char *dup = strdup(pids), *sv;
    for (char *p = strtok_r(dup, ",", &sv); p; p = strtok_r(0, ",", &sv)) {
        char f[64], b[1024];
        snprintf(f, 64, "/proc/%s/stat", p);
        FILE *h = fopen(f, "r");
        if (!h)
            continue;
        size_t n = fread(b, 1, 1023, h);
        b[n] = 0;
        fclose(h);
        char *q = strrchr(b, ')');
        unsigned long ut, st;
        long r;
        sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld", &ut,
               &st, &r);
        *cpu += (ut + st) / (double)sysconf(_SC_CLK_TCK);
        *rss += r * 4;
    }
    free(dup);
}
static void *publisher(void *arg) {
    int which = (int)(long)arg, mine = events / pubs;
    double rate_ = rate / pubs;
    int fd = dial();
    char *body = malloc(payload + 4096), *req = malloc(payload + 8192), rb[8192];
    char *pad = malloc(payload + 1);
    memset(pad, 'x', payload);
    pad[payload] = 0;
    uint64_t start = now_ns();
    for (int i = 0; i < mine; i++) {
        if (rate_ > 0) {
            uint64_t due = start + (uint64_t)(i * 1e9 / rate_), n = now_ns();
            if (due > n) {
                struct timespec ts = {(due - n) / 1000000000, (due - n) % 1000000000};
                nanosleep(&ts, 0);
            }
        }
        char *q = body;
        for (const char *x = tmpl; *x; x++) {
            if (*x == '%' && x[1] == 'T') {
                q += sprintf(q, "%llu", (unsigned long long)now_ns());
                x++;
            } else if (*x == '%' && x[1] == 'S') {
                q += sprintf(q, "%d", which * mine + i);
                x++;
            } else if (*x == '%' && x[1] == 'P') {
                q += sprintf(q, "%s", pad);
                x++;
            } else
                *q++ = *x;
        }
        *q = 0;
        int bl = q - body;
        int n = sprintf(
            req,
            "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
            pub_path, hdr, bl, body);
        if (write(fd, req, n) != n) {
            pub_errors++;
            break;
        }
        size_t got = 0; // read one response: headers + content-length or chunked end
        for (;;) {
            ssize_t r = read(fd, rb + got, sizeof rb - 1 - got);
            if (r <= 0) {
                pub_errors++;
                goto out;
            }
            got += r;
            rb[got] = 0;
            char *e = strstr(rb, "\r\n\r\n");
            if (!e)
                continue;
            if (strncmp(rb, "HTTP/1.1 2", 10)) {
                pub_errors++;
                if (pub_errors < 3)
                    fprintf(stderr, "%.*s\n", (int)got, rb);
            }
            char *c = strcasestr(rb, "content-length:");
            size_t need;
            if (c && c < e) {
                need = (e + 4 - rb) + atol(c + 15);
                if (got >= need)
                    break;
            } else if (strcasestr(rb, "transfer-encoding: chunked")) {
                if (strstr(e, "0\r\n\r\n"))
                    break;
            } else
                break;
        }
    }
out:
    {
        double d = (now_ns() - start) / 1e9;
        if (d > pub_secs)
            pub_secs = d;
    }
    atomic_fetch_add(&pub_done, 1);
    return 0;
}
static int cmp(const void *a, const void *b) {
    uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b;
    return x < y ? -1 : x > y;
}
int main(int c, char **v) {
    for (int i = 1; i < c - 1; i += 2) {
        char *o = v[i], *x = v[i + 1];
        if (!strcmp(o, "-p"))
            port = atoi(x);
        else if (!strcmp(o, "-n"))
            subs = atoi(x);
        else if (!strcmp(o, "-m"))
            events = atoi(x);
        else if (!strcmp(o, "-r"))
            rate = atof(x);
        else if (!strcmp(o, "-s"))
            payload = atoi(x);
        else if (!strcmp(o, "-u"))
            sub_path = x;
        else if (!strcmp(o, "-w"))
            pub_path = x;
        else if (!strcmp(o, "-i"))
            pids = x;
        else if (!strcmp(o, "-t"))
            timeout_s = atof(x);
        else if (!strcmp(o, "-c"))
            pubs = atoi(x);
        else if (!strcmp(o, "-b"))
            tmpl = x;
        else if (!strcmp(o, "-z"))
            stuck = atoi(x);
        else if (!strcmp(o, "-H")) {
            char *h = malloc(strlen(x) + 3);
            sprintf(h, "%s\r\n", x);
            hdr = h;
        }
    }
    events -= events % pubs;
    cs = calloc(subs, sizeof *cs);
    caplat = (size_t)subs * events;
    if (caplat > 40000000)
        caplat = 40000000;
    lat = malloc(caplat * 4);
    double cpu0, cpu1, cpuc0;
    long rss0, rss1, rssm = 0;
    cpu_rss(&cpuc0, &rss0);
    uint64_t c0 = now_ns();
    int ep = epoll_create1(0);
    char req[1024];
    int rl =
        snprintf(req, 1024, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n", sub_path, hdr);
    static char buf[1 << 18];
    int ready = 0;
    for (int i = 0; i < subs; i++) {
        cs[i].fd = dial();
        if (write(cs[i].fd, req, rl) != rl)
            perror("w");
        fcntl(cs[i].fd, F_SETFL, O_NONBLOCK);
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(ep, EPOLL_CTL_ADD, cs[i].fd, &e);
        if (i % 200 == 199) {
            struct epoll_event ev[512];
            int n = epoll_wait(ep, ev, 512, 0);
            for (int k = 0; k < n; k++) {
                conn *q = &cs[ev[k].data.u32];
                if (read(q->fd, buf, sizeof buf) > 0 && !q->hdr) {
                    q->hdr = 1;
                    ready++;
                }
            }
        }
    }
    struct epoll_event ev[1024];
    uint64_t dl = now_ns() + 60000000000ull;
    while (ready < subs && now_ns() < dl) {
        int n = epoll_wait(ep, ev, 1024, 500);
        for (int k = 0; k < n; k++) {
            conn *q = &cs[ev[k].data.u32];
            ssize_t r = read(q->fd, buf, sizeof buf);
            if (r > 0) {
                if (!q->hdr) {
                    q->hdr = 1;
                    ready++;
                    if (strncmp(buf, "HTTP/1.1 200", 12)) {
                        fprintf(stderr, "%.*s\n", (int)(r > 300 ? 300 : r), buf);
                        exit(1);
                    }
                }
            } else if (r == 0) {
                fprintf(stderr, "closed early\n");
                exit(1);
            }
        }
    }
    double connect_s = (now_ns() - c0) / 1e9;
    usleep(settle * 1e6);
    // drain anything pending
    for (;;) {
        int n = epoll_wait(ep, ev, 1024, 0);
        if (n <= 0)
            break;
        for (int k = 0; k < n; k++)
            if (read(cs[ev[k].data.u32].fd, buf, sizeof buf) <= 0)
                epoll_ctl(ep, EPOLL_CTL_DEL, cs[ev[k].data.u32].fd, 0);
    }
    for (int i = 0; i < stuck; i++)
        epoll_ctl(ep, EPOLL_CTL_DEL, cs[i].fd, 0); // stuck readers: connected, never read again
    cpu_rss(&cpu0, &rss1);
    pthread_t th[64];
    if (pubs > 64)
        pubs = 64;
    uint64_t t0 = now_ns();
    for (int i = 0; i < pubs; i++)
        pthread_create(&th[i], 0, publisher, (void *)(long)i);
    long want = (long)(subs - stuck) * events, got = 0;
    uint64_t last = t0;
    int closed = 0;
    uint64_t idle = now_ns();
    static const char pat[] = "@t=";
    while (got < want) {
        int n = epoll_wait(ep, ev, 1024, 200);
        uint64_t now = now_ns();
        if (n == 0) {
            if ((now - idle) / 1e9 > 5 && atomic_load(&pub_done) == pubs)
                break;
            if ((now - t0) / 1e9 > timeout_s)
                break;
            continue;
        }
        idle = now;
        if ((now - t0) / 1e9 > timeout_s)
            break;
        for (int k = 0; k < n; k++) {
            conn *q = &cs[ev[k].data.u32];
            ssize_t r = read(q->fd, buf, sizeof buf);
            if (r <= 0) {
                if (r == 0) {
                    closed++;
                    epoll_ctl(ep, EPOLL_CTL_DEL, q->fd, 0);
                }
                continue;
            }
            now = now_ns();
            int st = q->st;
            uint64_t num = q->num;
            for (ssize_t j = 0; j < r; j++) {
                char ch = buf[j];
                if (st < 3) {
                    if (ch == pat[st])
                        st++;
                    else
                        st = (ch == pat[0]);
                    if (st == 3)
                        num = 0;
                } else {
                    if (ch >= '0' && ch <= '9')
                        num = num * 10 + (ch - '0');
                    else {
                        st = 0;
                        uint64_t d = now > num ? now - num : 0;
                        if (nlat < caplat)
                            lat[nlat++] = d / 1000 > 4000000000u ? 4000000000u : d / 1000;
                        got++;
                        last = now;
                    }
                }
            }
            q->st = st;
            q->num = num;
        }
    }
    for (int i = 0; i < pubs; i++)
        pthread_join(th[i], 0);
    cpu_rss(&cpu1, &rssm);
    double secs = (last - t0) / 1e9;
    qsort(lat, nlat, 4, cmp);
#define P(x) (nlat ? lat[(size_t)((nlat - 1) * (x))] / 1000.0 : 0)
    printf("subs=%d events=%d rate=%.0f payload=%d connect_s=%.2f delivered=%ld/%ld closed=%d pub_err=%d secs=%.3f "
           "deliv_per_s=%.0f pub_per_s=%.0f lat_ms p50=%.2f p90=%.2f p99=%.2f max=%.2f",
           subs, events, rate, payload, connect_s, got, want, closed, pub_errors, secs, got / secs, events / pub_secs,
           P(.5), P(.9), P(.99), P(1));
    if (pids)
        printf(" cpu_s=%.2f cpu_us_per_deliv=%.2f rss_kb before=%ld conn=%ld after=%ld kb_per_conn=%.1f "
               "connect_cpu_us=%.0f",
               cpu1 - cpu0, (cpu1 - cpu0) * 1e6 / (got ? got : 1), rss0, rss1, rssm, (rss1 - rss0) / (double)subs,
               (cpu0 - cpuc0) * 1e6 / subs);
    printf("\n");
    return 0;
}
