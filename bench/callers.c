/* AGI load: callers that connect, send a request as Asterisk does, read one line, reply, and wait for the close.
 *
 * Usage: callers PORT closed CALLERS SECONDS [LISTED]      each caller calls again as soon as it has its answer
 *        callers PORT open PER_SECOND SECONDS [LISTED]     calls are due at fixed times, however slow the answers
 *
 * The callers dial ten thousand numbers, +1415555xxxx. The gate must block the first LISTED of them and allow all others,
 * each on the channel of its request. LISTED -1 checks nothing. A number that should be allowed counts as given_up, not as
 * wrong, if the gate blocked it because it had no facts in time. Latency runs from the connect, or in the open loop from
 * the due time, to the close. Prints one JSON object: calls, wall_s, unanswered, wrong, given_up, allowed, and latencies
 * in microseconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 32768, ANSWER = 2048, EVENTS = 512, KEPT = 8000000 };

static struct call { double since; int used, number, asked, answered; char channel[48]; char answer[ANSWER]; } *calls;
static struct sockaddr_in server;
static int queue, listed = -1, up;
static long done, unanswered, wrong, given_up, allowed;
static uint64_t drawn = 88172645463325252ULL;
static float *latencies;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t draw(void) {
  drawn ^= drawn << 13; drawn ^= drawn >> 7; drawn ^= drawn << 17;
  return drawn;
}

static int begin(double since) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0 || fd >= MOST) { if (fd >= 0) close(fd); unanswered++; return 0; }
  struct call *call = &calls[fd];
  call->since = since;
  call->used = call->asked = call->answered = 0;
  call->number = draw() % 10000;
  snprintf(call->channel, sizeof call->channel, "load-%012llx.1", (unsigned long long)(draw() & 0xffffffffffff));
  if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) { close(fd); unanswered++; return 0; }
  struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};
  epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
  up++;
  return 1;
}

static void ask(int fd) {
  struct call *call = &calls[fd];
  char header[2048];
  int size = snprintf(header, sizeof header,
      "agi_network: yes\nagi_network_script: screen\nagi_request: agi://127.0.0.1/screen\n"
      "agi_channel: PJSIP/dialer-%08x\nagi_language: en\nagi_type: PJSIP\nagi_uniqueid: %s\nagi_version: 22.10.1\n"
      "agi_callerid: 2025550123\nagi_calleridname: Agent 7\nagi_callingpres: 0\nagi_callingani2: 0\nagi_callington: 0\n"
      "agi_callingtns: 0\nagi_dnid: 4155550100\nagi_rdnis: unknown\nagi_context: dnc-screen\nagi_extension: s\n"
      "agi_priority: 14\nagi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 140234567890123\n"
      "agi_arg_1: +1415555%04d\nagi_arg_2: lead-1\n\n",
      (unsigned)(draw() & 0xffffffff), call->channel, call->number);
  call->asked = 1;
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(queue, EPOLL_CTL_MOD, fd, &event);
  if (write(fd, header, size) != size) call->used = -1;
}

static void judge(struct call *call) {
  char verdict[96];
  if (call->used <= 0 || call->answer[call->used - 1] != '\n') { unanswered++; return; }
  call->answer[call->used - 1] = 0;
  if (done < KEPT) latencies[done] = (float)((now() - call->since) * 1e6);
  done++;
  snprintf(verdict, sizeof verdict, "DNC_VERDICT=ALLOW-%s\"", call->channel);
  int let = strstr(call->answer, verdict) != NULL;
  allowed += let;
  if (listed < 0 || let == (call->number >= listed)) return;
  if (!let && (strstr(call->answer, "DNC_REASON=deadline") || strstr(call->answer, "-unavailable,"))) given_up++;
  else wrong++;
}

/* Handle one event of a call; return 1 when the call is over. */
static int hear(int fd) {
  struct call *call = &calls[fd];
  if (!call->asked) { ask(fd); return 0; }
  if (call->used < 0) goto over;
  ssize_t got = read(fd, call->answer + call->used, ANSWER - 1 - call->used);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got > 0) {
    call->used += (int)got;
    if (!call->answered && call->answer[call->used - 1] == '\n') {
      call->answered = 1;
      if (write(fd, "200 result=0\n", 13) != 13) goto over;
    }
    return 0;
  }
over:
  judge(call);
  close(fd);
  up--;
  return 1;
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

static float percentile(double percent) {
  long kept = done < KEPT ? done : KEPT;
  long place = (long)(kept * percent / 100);
  return kept ? latencies[place < kept ? place : kept - 1] : 0;
}

int main(int argc, char **argv) {
  if (argc < 5) { fputs("callers PORT closed|open N SECONDS [LISTED]\n", stderr); return 2; }
  int open_loop = !strcmp(argv[2], "open");
  double rate = atof(argv[3]), seconds = atof(argv[4]);
  if (argc > 5) listed = atoi(argv[5]);
  server.sin_family = AF_INET;
  server.sin_port = htons(atoi(argv[1]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  calls = calloc(MOST, sizeof *calls);
  latencies = malloc(sizeof *latencies * KEPT);
  queue = epoll_create1(0);
  struct epoll_event events[EVENTS];
  double started = now(), until = started + seconds, overdue = until + 5;
  long begun = 0, planned = open_loop ? (long)(rate * seconds) : 0;
  if (!open_loop) for (int i = 0; i < (int)rate; i++) begin(now());
  while (now() < overdue) {
    double wait = 0.1;
    if (open_loop) {
      while (begun < planned && started + begun / rate <= now()) begin(started + begun / rate), begun++;
      if (begun >= planned && !up) break;
      if (begun < planned) {
        wait = started + begun / rate - now();
        if (wait < 0) wait = 0;
      }
    } else if (!up) break;
    struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)(wait * 1e9)};
    int ready = epoll_pwait2(queue, events, EVENTS, &pause, NULL);
    for (int i = 0; i < ready; i++)
      if (hear(events[i].data.fd) && !open_loop && now() < until) begin(now());
  }
  double wall = now() - started;
  unanswered += up;
  qsort(latencies, done < KEPT ? done : KEPT, sizeof *latencies, ascending);
  printf("{\"calls\": %ld, \"wall_s\": %.4f, \"unanswered\": %ld, \"wrong\": %ld, \"given_up\": %ld, \"allowed\": %ld, \"p50_us\": %.1f, "
         "\"p99_us\": %.1f, \"p999_us\": %.1f}\n",
         done, wall, unanswered, wrong, given_up, allowed, percentile(50), percentile(99), percentile(99.9));
  return 0;
}
