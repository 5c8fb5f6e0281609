/* The floor: a FastAGI server in C that answers every request with a fixed verdict, without any look-up. A server that
 * accepts the connection, reads the request, writes one line, reads the reply and closes cannot cost less.
 * Usage: floor PORT. It prints "ready" when it listens. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, HEADER = 4096, EVENTS = 512 };

static const char LINE[] =
    "EXEC MSet \"DNC_NUMBER=+14155550199,DNC_REASON=not-listed,DNC_DECISION=01a20a789220-cf157d42-00000004,"
    "CDR(dnc_verdict)=ALLOW,CDR(dnc_reason)=not-listed,CDR(dnc_decision)=01a20a789220-cf157d42-00000004,"
    "CDR(dnc_number)=+14155550199,DNC_VERDICT=ALLOW-load-000000000000.1\"\n";

static struct peer { int used; char answered; char header[HEADER]; } *peers;

static void take(int queue, int fd) {
  struct peer *peer = &peers[fd];
  ssize_t got = read(fd, peer->header + peer->used, HEADER - peer->used);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) { close(fd); return; }
  if (peer->answered) { close(fd); return; }
  peer->used += (int)got;
  if (peer->used >= 2 && memcmp(peer->header + peer->used - 2, "\n\n", 2) == 0) {
    if (write(fd, LINE, sizeof LINE - 1) < 0) close(fd);
    peer->answered = 1;
  } else if (peer->used == HEADER) {
    close(fd);
  }
  (void)queue;
}

int main(int argc, char **argv) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 4573)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) { perror("floor"); return 2; }
  peers = calloc(MOST, sizeof *peers);
  int queue = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
  epoll_ctl(queue, EPOLL_CTL_ADD, listener, &event);
  puts("ready");
  fflush(stdout);
  for (;;) {
    int ready = epoll_wait(queue, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd != listener) { take(queue, events[i].data.fd); continue; }
      for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) break;
        if (fd >= MOST) { close(fd); continue; }
        peers[fd].used = peers[fd].answered = 0;
        event.events = EPOLLIN;
        event.data.fd = fd;
        epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
      }
    }
  }
}
