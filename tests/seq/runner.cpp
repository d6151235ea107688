// seq/runner.cpp -- plays the packet sequences of tests/seq. See README.md.
//
//   seq [--sim] [FILTER...]            in this process, virtual time (default)
//   seq --binary PATH [FILTER...]      against a real broker, over real sockets
//   seq --list | --check               cases and identifiers | only parse
//
// A FILTER is part of a title, an identifier, or a file's name (with :LINE).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "seq/packet.h"
#include "seq/play.h"

namespace seq {
namespace {

struct Arguments {
    bool list = false, check = false, verbose = false, long_too = false;
    unsigned jobs = 24;
    std::string directory = "tests/seq";
    std::string variant;             // empty: all
    BinaryOptions binary;            // path empty: the simulator
    std::vector<std::string> filters;
};

// A case that waits longer than this is left out of a quick run over sockets.
constexpr unsigned long QUICK_WAIT_MS = 4000;

// Hours of virtual time are some work too, and the same on every transport.
constexpr unsigned long LONG_WAIT_MS = 1000 * 1000;

struct Job {
    const Case *c;
    Variant v;
};

void usage() {
    puts("usage: seq [--sim | --binary PATH] [--list | --check] [--dir DIR] [--jobs N]\n"
         "           [--variant plain|websocket[-cut]] [--long] [--extra 'CONFIGURATION LINE']\n"
         "           [--timeout MS] [--verbose] [FILTER...]");
    exit(2);
}

Arguments parse_arguments(int argc, char **argv) {
    Arguments a;
    for (int i = 1; i < argc; i++) {
        std::string w = argv[i];
        auto value = [&]() -> std::string {
            if (++i >= argc) usage();
            return argv[i];
        };
        if (w == "--sim") a.binary.path.clear();
        else if (w == "--binary") a.binary.path = value();
        else if (w == "--extra") a.binary.extra += value() + "\n";
        else if (w == "--timeout") a.binary.timeout_ms = std::stoul(value());
        else if (w == "--dir") a.directory = value();
        else if (w == "--jobs") a.jobs = static_cast<unsigned>(std::stoul(value()));
        else if (w == "--variant") a.variant = value();
        else if (w == "--long") a.long_too = true;
        else if (w == "--list") a.list = true;
        else if (w == "--check") a.check = true;
        else if (w == "--verbose") a.verbose = true;
        else if (w.starts_with("-")) usage();
        else a.filters.push_back(w);
    }
    return a;
}

bool wanted(const Case &c, const Arguments &a) {
    if (a.filters.empty()) return true;
    std::string all = c.file + ":" + std::to_string(c.line) + " " + c.title;
    for (const std::string &id : c.ids) all += " " + id;
    return std::any_of(a.filters.begin(), a.filters.end(), [&](const std::string &f) {
        return all.find(f) != std::string::npos;
    });
}

std::vector<Job> make_jobs(const std::vector<Case> &cases, const Arguments &a) {
    std::vector<Job> jobs;
    bool real = !a.binary.path.empty();
    for (const Case &c : cases) {
        if (!wanted(c, a) || (real ? c.only_sim : c.only_binary)) continue;
        if (real && !a.long_too && c.wait_ms > QUICK_WAIT_MS) continue;
        for (Variant v : {Variant{false, false}, {true, false}, {false, true}, {true, true}}) {
            if ((v.web && (c.only_plain || c.one_transport)) || (!v.web && c.only_web)) continue;
            if (v.cut && c.only_whole) continue;
            if (c.wait_ms > LONG_WAIT_MS && (v.web || v.cut)) continue;
            std::string name = std::string(v.web ? "websocket" : "plain") + (v.cut ? "-cut" : "");
            if (!a.variant.empty() && a.variant != name) continue;
            jobs.push_back({&c, v});
        }
    }
    // The longest first, so that they do not come alone at the end.
    if (real)
        std::stable_sort(jobs.begin(), jobs.end(), [](const Job &x, const Job &y) {
            return x.c->wait_ms > y.c->wait_ms;
        });
    return jobs;
}

std::string run_job(const Job &j, const Arguments &a) {
    try {
        std::unique_ptr<Backend> b =
            a.binary.path.empty() ? sim_backend(*j.c) : binary_backend(*j.c, a.binary);
        return play(*j.c, j.v, b.get());
    } catch (const std::exception &e) {
        return j.c->file + ":" + std::to_string(j.c->line) + ": " + e.what();
    }
}

struct Tally {
    std::mutex lock;
    int passed = 0, failed = 0;
};

void report(Tally *t, const Job &j, const std::string &failure, double ms, const Arguments &a) {
    std::lock_guard hold(t->lock);
    (failure.empty() ? t->passed : t->failed)++;
    if (!failure.empty())
        printf("FAILED %s (%s)\n%s\n", j.c->title.c_str(), variant_text(j.v), failure.c_str());
    else if (a.verbose)
        printf("passed %s (%s), %.1f ms\n", j.c->title.c_str(), variant_text(j.v), ms);
    fflush(stdout);
}

// Waiting is most of what a case does over sockets: many at a time.
void run_all(const std::vector<Job> &jobs, const Arguments &a, Tally *t) {
    std::atomic<size_t> next = 0;
    auto work = [&] {
        for (size_t i; (i = next++) < jobs.size();) {
            auto begin = std::chrono::steady_clock::now();
            std::string failure = run_job(jobs[i], a);
            std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
            report(t, jobs[i], failure, took.count(), a);
        }
    };
    if (a.binary.path.empty()) return work();
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < a.jobs; i++) threads.emplace_back(work);
    for (std::thread &thread : threads) thread.join();
}

void list_cases(const std::vector<Case> &cases, const Arguments &a) {
    for (const Case &c : cases) {
        if (!wanted(c, a)) continue;
        std::string ids;
        for (const std::string &id : c.ids) ids += " " + id;
        printf("%s:%d\t%s\t%s\t%s\n", c.file.c_str(), c.line, c.standard.c_str(),
               ids.empty() ? "-" : ids.c_str() + 1, c.title.c_str());
    }
}

// Expectations that contradict the tester's own reading of the standard are
// most likely mistakes of the case.
void check_cases(const std::vector<Case> &cases) {
    for (const Case &c : cases)
        for (const Step &s : c.steps) {
            if (s.verb != Verb::Expect) continue;
            for (const Pattern &p : s.patterns) {
                if (p.size() != 1 || p[0].kind != Element::Literal) continue;
                std::string fault = packet_fault(s.version, p[0].bytes);
                if (!fault.empty())
                    printf("%s:%d: odd: %s: %s\n", c.file.c_str(), s.line, fault.c_str(), s.text.c_str());
            }
        }
    printf("%zu cases\n", cases.size());
}

// A file that cannot be read is one failure, and does not stop the others.
std::vector<Case> read_all(const Arguments &a, int *unreadable) {
    std::vector<std::string> files;
    for (const auto &e : std::filesystem::directory_iterator(a.directory))
        if (e.path().extension() == ".seq") files.push_back(e.path());
    std::sort(files.begin(), files.end());
    std::vector<Case> cases;
    for (const std::string &f : files) {
        size_t before = cases.size();
        try {
            read_script(f, &cases);
        } catch (const std::exception &e) {
            cases.resize(before);
            ++*unreadable;
            printf("FAILED to read a file\n%s\n", e.what());
        }
    }
    return cases;
}

} // namespace

static int run(int argc, char **argv) {
    Arguments a = parse_arguments(argc, argv);
    int unreadable = 0;
    std::vector<Case> cases = read_all(a, &unreadable);
    if (a.list) return list_cases(cases, a), unreadable != 0;
    if (a.check) return check_cases(cases), unreadable != 0;

    LogOptions quiet;
    quiet.types = quiet.destinations = 0;
    char error[256];
    log_init("seq");
    if (!log_configure(&quiet, error, sizeof error)) fprintf(stderr, "%s\n", error);

    Tally t;
    t.failed = unreadable;
    auto begin = std::chrono::steady_clock::now();
    run_all(make_jobs(cases, a), a, &t);
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    printf("%.1f s\n%d passed, %d failed\n", seconds, t.passed, t.failed);
    return t.failed ? 1 : 0;
}

} // namespace seq

int main(int argc, char **argv) { return seq::run(argc, argv); }
