/* Measures every turn of an event loop from outside it: what lies between two waits for events.
 *
 * Loaded into a process with LD_PRELOAD, it stands before libc's epoll_pwait and epoll_wait. Of the main thread it notes,
 * for each turn, how long it took, how much of that this thread was computing, and how long the thread could have run
 * and the machine ran somebody else (schedstat). What is left is the process's own: computing, waiting for a disk, or for
 * another of its threads. Nothing of the measured program is changed.
 *
 * TURNS_FILE names a file of the layout below, which loadtests/turns.py makes and reads. With TURNS_SIGNAL_MS the main
 * thread gets SIGUSR2 when a turn has lasted for so long, for who wants to know what it is doing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WORST 16
#define BOUNDS 5

struct turn {
  uint64_t began_ns, wall_ns, cpu_ns, delayed_ns;
};

struct page {
  uint64_t asked;  /* raised by the reader to begin anew */
  uint64_t begun;  /* the last of these that was heeded */
  uint64_t turns;
  uint64_t over[BOUNDS]; /* turns of which more than 1, 2, 5, 10, 50 ms were the process's own */
  struct turn worst[WORST];
  uint64_t within_ns; /* when the present turn began; 0 between two */
};

static const uint64_t bounds_ns[BOUNDS] = {1000000, 2000000, 5000000, 10000000, 50000000};

static struct page *page;
static int schedstat_fd = -1;
static timer_t watchdog;
static int has_watchdog;
static uint64_t watchdog_ns;
static int is_within; /* a turn has begun */
static struct turn current;
static int (*real_wait)(int, struct epoll_event *, int, int);
static int (*real_pwait)(int, struct epoll_event *, int, int, const sigset_t *);

static uint64_t now_ns(clockid_t clock) {
  struct timespec at;
  clock_gettime(clock, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static uint64_t delayed_ns(void) {
  char text[96];
  ssize_t size = pread(schedstat_fd, text, sizeof text - 1, 0);
  if (size <= 0) return 0;
  text[size] = 0;
  char *second = strchr(text, ' ');
  return second ? strtoull(second + 1, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void) {
  real_wait = dlsym(RTLD_NEXT, "epoll_wait");
  real_pwait = dlsym(RTLD_NEXT, "epoll_pwait");
  const char *name = getenv("TURNS_FILE");
  if (!name) return;
  int fd = open(name, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (at == MAP_FAILED || schedstat_fd < 0) return;
  const char *after = getenv("TURNS_SIGNAL_MS");
  if (after) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
    event._sigev_un._tid = getpid();
    watchdog_ns = strtoull(after, NULL, 10) * 1000000u;
    has_watchdog = timer_create(CLOCK_MONOTONIC, &event, &watchdog) == 0;
  }
  page = at;
}

static void arm(uint64_t after_ns) {
  struct itimerspec span = {.it_value = {(time_t)(after_ns / 1000000000u), (long)(after_ns % 1000000000u)}};
  timer_settime(watchdog, 0, &span, NULL);
}

static void note(const struct turn *turn) {
  uint64_t own = turn->wall_ns > turn->delayed_ns ? turn->wall_ns - turn->delayed_ns : 0;
  page->turns++;
  for (int place = 0; place < BOUNDS; place++)
    if (own > bounds_ns[place]) page->over[place]++;
  struct turn *least = page->worst;
  for (struct turn *one = page->worst; one < page->worst + WORST; one++)
    if (one->wall_ns - one->delayed_ns < least->wall_ns - least->delayed_ns) least = one;
  if (own > least->wall_ns - least->delayed_ns) *least = *turn;
}

static int is_watched(void) { return page != NULL && syscall(SYS_gettid) == getpid(); }

static void end_turn(void) {
  if (is_within) {
    if (has_watchdog) arm(0);
    struct turn turn = current;
    turn.wall_ns = now_ns(CLOCK_MONOTONIC) - current.began_ns;
    turn.cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - current.cpu_ns;
    turn.delayed_ns = delayed_ns() - current.delayed_ns;
    if (turn.delayed_ns > turn.wall_ns) turn.delayed_ns = turn.wall_ns;
    page->within_ns = 0;
    if (page->asked != page->begun) {
      memset(&page->turns, 0, sizeof *page - 2 * sizeof page->asked);
      page->begun = page->asked;
    } else {
      note(&turn);
    }
  }
}

static void begin_turn(void) {
  current.delayed_ns = delayed_ns();
  current.cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
  current.began_ns = now_ns(CLOCK_MONOTONIC);
  page->within_ns = current.began_ns;
  is_within = 1;
  if (has_watchdog) arm(watchdog_ns);
}

/* The loop asks again at once, within the same turn, when it was given as many events as it had room for. */
static int was_full;

int epoll_pwait(int fd, struct epoll_event *events, int room, int timeout, const sigset_t *mask) {
  if (!is_watched()) return real_pwait(fd, events, room, timeout, mask);
  int is_same = was_full && timeout == 0;
  if (!is_same) end_turn();
  int found = real_pwait(fd, events, room, timeout, mask);
  was_full = found == room;
  if (!is_same) begin_turn();
  return found;
}

int epoll_wait(int fd, struct epoll_event *events, int room, int timeout) {
  return is_watched() ? epoll_pwait(fd, events, room, timeout, NULL) : real_wait(fd, events, room, timeout);
}

struct start {
  void *(*run)(void *);
  void *given;
};

static void *begin_thread(void *given) {
  struct start start = *(struct start *)given;
  free(given);
  /* Before everything else, too, as it may hold the interpreter lock, but after the loop. */
  struct sched_param low = {.sched_priority = 1};
  sched_setscheduler(0, SCHED_RR, &low);
  return start.run(start.given);
}

/* A thread of a process whose loop runs before everything else (SCHED_RR) would inherit that. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *given) {
  static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  if (!real) real = dlsym(RTLD_NEXT, "pthread_create");
  struct start *start = page && sched_getscheduler(getpid()) == SCHED_RR ? malloc(sizeof *start) : NULL;
  if (!start) return real(thread, attributes, run, given);
  *start = (struct start){run, given};
  int failed = real(thread, attributes, begin_thread, start);
  if (failed) free(start);
  return failed;
}
