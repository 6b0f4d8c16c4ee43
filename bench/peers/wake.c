// Wakes a sleeping loop over and over and tells what that cost both sides: `wake futex|eventfd|engine`. With --burst it
// rings so often at a time, of which the first wakes: what a ring costs that finds the loop awake.
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/peers/meter.h"
#include "bench/peers/wake.h"

enum { RINGS_MAX = 1000000, GAP_NS = 50000, SPINS_PER_YIELD = 1000, GIVE_UP_S = 10 };

struct probe {
    const struct wake_subject *subject;
    uint64_t num_rings;
    uint64_t burst; // rings without a pause; call_ns and latency_ns are of whole bursts
    int producer_cpu; // -1: anywhere
    int loop_cpu;
    uint64_t *call_ns;
    uint64_t *latency_ns;
    struct wake_sightings sightings;
};

void wake_seen(struct wake_sightings *sightings) {
    struct timespec cpu;
    sightings->seen_ns = peer_now_ns();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    sightings->last_cpu_ns = (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec;
    uint64_t count = atomic_load_explicit(&sightings->count, memory_order_relaxed);
    if (count == 0) {
        sightings->first_cpu_ns = sightings->last_cpu_ns;
    }
    atomic_store_explicit(&sightings->count, count + 1, memory_order_release);
}

static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= 0) {
        CPU_SET((unsigned)cpu, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
}

// Waits for a ring to be seen without sleeping, which would put the cost of its own waking into the figures. It yields
// now and then, for machines on which both share a core.
static void await(struct wake_sightings *sightings, uint64_t count) {
    uint64_t begin_ns = peer_now_ns();
    for (unsigned spins = 1; atomic_load_explicit(&sightings->count, memory_order_acquire) < count; spins++) {
        if (spins % SPINS_PER_YIELD == 0) {
            sched_yield();
            if (peer_now_ns() - begin_ns > (uint64_t)GIVE_UP_S * 1000000000) {
                fprintf(stderr, "wake: the loop never woke\n");
                exit(PEER_EXIT_FAILED);
            }
        }
    }
}

static void spin(uint64_t ns) {
    for (uint64_t begin_ns = peer_now_ns(); peer_now_ns() - begin_ns < ns;) {
    }
}

static void measure(struct probe *probe) {
    for (uint64_t i = 0; i < probe->num_rings / probe->burst; i++) {
        spin(GAP_NS);
        uint64_t begin_ns = peer_now_ns();
        for (uint64_t k = 0; k < probe->burst; k++) {
            probe->subject->ring();
        }
        probe->call_ns[i] = peer_now_ns() - begin_ns;
        await(&probe->sightings, (i + 1) * probe->burst);
        probe->latency_ns[i] = probe->sightings.seen_ns - begin_ns;
    }
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double at_us(uint64_t *sorted, uint64_t count, double share) {
    return (double)sorted[(uint64_t)(share * (double)(count - 1))] / 1e3;
}

static void report(struct probe *probe, uint64_t num_wakes) {
    uint64_t count = probe->num_rings / probe->burst;
    uint64_t num_rings = count * probe->burst;
    qsort(probe->call_ns, count, sizeof *probe->call_ns, compare);
    qsort(probe->latency_ns, count, sizeof *probe->latency_ns, compare);
    double loop_us = (double)(probe->sightings.last_cpu_ns - probe->sightings.first_cpu_ns) / 1e3 /
                     (double)(num_rings - 1);
    double call_us = at_us(probe->call_ns, count, 0.5) / (double)probe->burst;
    printf("{\"peer\":\"wake\",\"how\":\"%s\",\"errors\":{},\"rings\":%" PRIu64 ",\"burst\":%" PRIu64, probe->subject->name,
           num_rings, probe->burst);
    printf(",\"call_us\":%.3f,\"loop_cpu_us\":%.3f,\"cpu_us_per_wake\":%.3f", call_us, loop_us, call_us + loop_us);
    printf(",\"latency_us\":{\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f}", at_us(probe->latency_ns, count, 0.5),
           at_us(probe->latency_ns, count, 0.9), at_us(probe->latency_ns, count, 0.99));
    if (num_wakes != UINT64_MAX) {
        printf(",\"wakes_per_ring\":%.4f", (double)num_wakes / (double)num_rings);
    }
    printf("}\n");
}

static const char *parse(struct probe *probe, int argc, char **argv) {
    static const struct wake_subject *const subjects[] = {&k_wake_futex, &k_wake_eventfd, &k_wake_engine};
    for (size_t i = 0; argc > 1 && i < sizeof subjects / sizeof subjects[0]; i++) {
        probe->subject = strcmp(argv[1], subjects[i]->name) == 0 ? subjects[i] : probe->subject;
    }
    for (int i = 2; i + 1 < argc; i += 2) {
        char *end;
        long value = strtol(argv[i + 1], &end, 10);
        if (end == argv[i + 1] || *end != 0 || value < 0 || value > RINGS_MAX) {
            return "a number is missing or too large";
        }
        if (strcmp(argv[i], "-n") == 0) {
            probe->num_rings = (uint64_t)value;
        } else if (strcmp(argv[i], "--burst") == 0) {
            probe->burst = (uint64_t)value;
        } else if (strcmp(argv[i], "--producer-cpu") == 0) {
            probe->producer_cpu = (int)value;
        } else if (strcmp(argv[i], "--loop-cpu") == 0) {
            probe->loop_cpu = (int)value;
        } else {
            return "there is no such option";
        }
    }
    if (probe->subject == NULL || argc % 2 != 0) {
        return "a subject is needed, and a value for each option";
    }
    return probe->burst == 0 || probe->num_rings / probe->burst < 2 ? "two bursts are the least" : NULL;
}

int main(int argc, char **argv) {
    static struct probe probe = {.num_rings = 10000, .burst = 1, .producer_cpu = -1, .loop_cpu = -1};
    const char *problem = parse(&probe, argc, argv);
    if (problem != NULL) {
        fprintf(stderr,
                "wake: %s\n"
                "usage: wake futex|eventfd|engine [-n RINGS] [--burst RINGS] [--producer-cpu CPU] [--loop-cpu CPU]\n",
                problem);
        return PEER_EXIT_USAGE;
    }
    probe.call_ns = calloc(probe.num_rings, sizeof *probe.call_ns);
    probe.latency_ns = calloc(probe.num_rings, sizeof *probe.latency_ns);
    if (probe.call_ns == NULL || probe.latency_ns == NULL) {
        peer_die("cannot begin");
    }
    pin(probe.loop_cpu);
    probe.subject->start(&probe.sightings);
    pin(probe.producer_cpu);
    measure(&probe);
    report(&probe, probe.subject->stop());
    free(probe.call_ns);
    free(probe.latency_ns);
    return EXIT_SUCCESS;
}
