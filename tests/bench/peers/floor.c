// floor: epoll accept, any GET -> SSE headers, POST /pub -> send() same frame to all. nothing else. One send per
// subscriber per event.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
int subs[70000], ns;
static char b[1 << 16], f[1 << 16];
int main(int c, char **v) {
    int l = socket(AF_INET, SOCK_STREAM, 0), o = 1;
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &o, 4);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(v[1]))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(l, (void *)&a, sizeof a);
    listen(l, 8192);
    int ep = epoll_create1(0);
    struct epoll_event e = {EPOLLIN, {.fd = l}}, ev[512];
    epoll_ctl(ep, 1, l, &e);
    for (;;) {
        int n = epoll_wait(ep, ev, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = ev[i].data.fd;
            if (fd == l) {
                int s = accept(l, 0, 0);
                setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &o, 4);
                e.data.fd = s;
                epoll_ctl(ep, 1, s, &e);
                continue;
            }
            int r = read(fd, b, sizeof b - 1);
            if (r <= 0) {
                close(fd);
                for (int k = 0; k < ns; k++)
                    if (subs[k] == fd) {
                        subs[k] = subs[--ns];
                        break;
                    }
                continue;
            }
            b[r] = 0;
            if (b[0] == 'G') {
                fcntl(fd, F_SETFL, O_NONBLOCK);
                char *h = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n";
                write(fd, h, strlen(h));
                subs[ns++] = fd;
            } else if (b[0] == 80) {
                char *p = strstr(b, "\r\n\r\n") + 4;
                int m = sprintf(f, "data: %s\n\n", p);
                for (int k = 0; k < ns; k++)
                    send(subs[k], f, m, MSG_NOSIGNAL);
                char *h = "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n";
                write(fd, h, strlen(h));
            }
        }
    }
}
