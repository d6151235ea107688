#!/usr/bin/env python3
"""run.py -- the same scenarios against knut, the null relay, Debian's mosquitto
and whatever else is given, in turn, on the same machine in the same run.

    tests/bench/run.py                      everything, three rounds
    tests/bench/run.py --quick              small sizes, one round: does it work?
    tests/bench/run.py --only fanout-1,idle --rounds 5
    tests/bench/run.py --only 'pairs*' flashmq='flashmq --config-file f.conf:1883:8080'
    tests/bench/run.py --list
    tests/bench/run.py --relay              only the relay's own check

Another broker is NAME=COMMAND:PORT or NAME=COMMAND:PORT:WEBSOCKET_PORT; it must
stay in the foreground and let anybody in. Prints a Markdown table and writes
build/bench/results.json. See tests/bench/README.md.
"""
import argparse
import datetime
import fnmatch
import json
import os
import platform
import re
import resource
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from cases import CASES, RELAY_RATIOS, RELAY_TOLERANCE

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, 'build', 'bench')
LOAD = os.path.join(BUILD, 'load')

# Core of the broker and of the generator; the same where there is only one.
CORES = sorted(os.sched_getaffinity(0))
BROKER_CORE, LOAD_CORE = CORES[0], CORES[1 % len(CORES)]


class Void(Exception):
    """A run whose figures must not be used."""


# ---- brokers

class Broker:
    """How to start one. config(limits) gives the text of a configuration file
    whose path takes the place of CONF in the command, or None."""

    def __init__(self, name, command, port, ws_port=0, config=None, version=''):
        self.name, self.command, self.port, self.ws_port = name, command, port, ws_port
        self.config, self.version = config, version

    def can_play(self, case):
        if self.name == 'relay':
            return case.relay
        return bool(self.ws_port) or not case.ws


def lines(*text):
    return '\n'.join(text) + '\n'


def conf_like_mosquitto(port, ws_port):
    def config(limits):
        # Where a loss would void the run, queues have no limit.
        open_limits = ['max_queued_messages 0'] if limits == 'open' else []
        return lines(f'listener {port} 127.0.0.1', 'allow_anonymous true', *open_limits,
                     f'listener {ws_port} 127.0.0.1', 'protocol websockets')
    return config


def version_of(command, pattern):
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    found = re.search(pattern, out.stdout + out.stderr)
    return found.group(1) if found else ''


def find_mosquitto():
    return shutil.which('mosquitto') or next((p for p in ('/usr/sbin/mosquitto',) if os.path.exists(p)), None)


def brokers_of(args):
    base = args.port
    found = []
    if os.path.exists(args.knut):
        found.append(Broker('knut', [args.knut, '-c', 'CONF'], base, base + 1, conf_like_mosquitto(base, base + 1),
                            version_of(['git', '-C', ROOT, 'describe', '--always', '--dirty'], r'(\S+)')))
    else:
        print(f'bench: no {args.knut}: `make` first', file=sys.stderr)
    found.append(Broker('relay', [os.path.join(BUILD, 'relay'), str(base + 2)], base + 2))
    mosquitto = find_mosquitto()
    if mosquitto:
        found.append(Broker('mosquitto', [mosquitto, '-c', 'CONF'], base + 3, base + 4,
                            conf_like_mosquitto(base + 3, base + 4), version_of([mosquitto, '-h'], r'version (\S+)')))
    else:
        print('bench: mosquitto is not installed (scripts/bench does it)', file=sys.stderr)
    for text in args.others:
        name, _, rest = text.partition('=')
        match = re.fullmatch(r'(.+?):(\d+)(?::(\d+))?', rest)
        if not name or not match:
            sys.exit(f'bench: {text}: NAME=COMMAND:PORT[:WEBSOCKET_PORT] expected')
        found.append(Broker(name, shlex.split(match[1]), int(match[2]), int(match[3] or 0)))
    if args.brokers:
        wanted = args.brokers.split(',')
        found = [b for b in found if b.name in wanted]
    return found


def raise_limits():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


priority = 0  # --nice


def on_core(core):
    def prepare():
        os.sched_setaffinity(0, {core})
        if priority:
            os.setpriority(os.PRIO_PROCESS, 0, priority)
    return prepare


def is_listening(port):
    try:
        with socket.create_connection(('127.0.0.1', port), timeout=1):
            return True
    except OSError:
        return False


class Running:
    """A broker's process for one run, in a directory of its own."""

    def __init__(self, broker, limits):
        self.broker, self.dir = broker, tempfile.mkdtemp(prefix='knut-bench-')
        command = list(broker.command)
        if is_listening(broker.port):
            raise SystemExit(f'bench: port {broker.port} is taken; try --port')
        if broker.config:
            conf = os.path.join(self.dir, 'broker.conf')
            with open(conf, 'w') as f:
                f.write(broker.config(limits))
            command = [conf if word == 'CONF' else word for word in command]
        os.chmod(self.dir, 0o755)  # a broker may change its user
        self.log = open(os.path.join(self.dir, 'log'), 'w+')
        self.process = subprocess.Popen(command, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, preexec_fn=on_core(BROKER_CORE))

    def wait_ready(self):
        end = time.monotonic() + 15
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Void(f'{self.broker.name} ended at once: {self.tail()}')
            if is_listening(self.broker.port):
                time.sleep(0.2)  # it has our connection to get rid of
                return
            time.sleep(0.02)
        raise Void(f'{self.broker.name} does not listen on {self.broker.port}')

    def tail(self):
        self.log.seek(0)
        return ' | '.join(self.log.read().splitlines()[-3:])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- runs

def command_line(case, quick):
    """The generator's words; with quick, later settings replace earlier ones."""
    words = case.args.split()
    settings = dict(zip(words[1::2], words[2::2]))
    if quick:
        extra = case.quick.split()
        settings.update(zip(extra[::2], extra[1::2]))
    return [words[0]] + [w for pair in settings.items() for w in pair]


def generate(running, case, quick, extra=()):
    port = running.broker.ws_port if case.ws else running.broker.port
    words = [LOAD, *command_line(case, quick), *extra, '--port', str(port), '--pid', str(running.process.pid),
             '--transport', 'ws' if case.ws else 'tcp']
    try:
        out = subprocess.run(words, capture_output=True, text=True, timeout=case.timeout, preexec_fn=on_core(LOAD_CORE))
    except subprocess.TimeoutExpired:
        raise Void('the generator took too long')
    if running.process.poll() is not None:
        raise Void(f'{running.broker.name} ended in the run: {running.tail()}')
    try:
        report = json.loads(out.stdout)
    except ValueError:
        raise Void(f'no report: {out.stderr.strip()[-200:]}')
    if not report.get('valid'):
        faults = {k: v for k, v in report.get('account', {}).items() if v and k not in ('delivered', 'uncounted')}
        report['void'] = report.get('failed') or ', '.join(f'{v} {k}' for k, v in faults.items())
    return report


DISTURBED = 0.1  # of a core that others used meanwhile


def disturbance(report):
    """What others used of the machine, where the report says it."""
    phases = [report] + [v for v in report.values() if isinstance(v, dict)]
    return max((p.get('others_busy') or 0 for p in phases), default=0)


def machine_busy():
    with open('/proc/stat') as f:
        user, nice, system, _, _, irq, soft, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf('SC_CLK_TCK')


def wait_quiet(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = machine_busy()
        time.sleep(0.7)
        if machine_busy() - before < 0.7 * DISTURBED:
            return


def run_patiently(broker, case, args):
    """With --patient: begins when the machine is quiet, and tries again when it
    did not stay so; the least disturbed run is taken."""
    best = None
    for _ in range(4 if args.patient else 1):
        if args.patient:
            wait_quiet(args.patient)
        report = run_once(broker, case, args.quick)
        if best is None or disturbance(report) < disturbance(best):
            best = report
        if disturbance(best) < DISTURBED:
            break
    return best


def run_once(broker, case, quick):
    running = Running(broker, case.limits)
    try:
        running.wait_ready()
        return generate(running, case, quick)
    except Void as reason:
        return {'void': str(reason)}
    finally:
        running.stop()


def figure(report, row):
    value = report
    for word in row.key.split('.'):
        value = value.get(word) if isinstance(value, dict) else None
    return None if value is None else value * row.scale


def say(text):
    print(text, file=sys.stderr, flush=True)


def run_case(case, brokers, args, results):
    players = [b for b in brokers if b.can_play(case)]
    rounds = args.rounds or (1 if args.quick else case.rounds or 3)
    for number in range(rounds):
        for broker in players:
            report = run_patiently(broker, case, args)
            results.setdefault(broker.name, {}).setdefault(case.rows[0].name, []).append(report)
            value = figure(report, case.rows[0])
            shown = f'VOID: {report["void"]}' if 'void' in report else show(value, case.rows[0].unit)
            others = disturbance(report)
            noise = f'   (others used {others:.0%} of a core)' if others >= DISTURBED else ''
            say(f'  {case.rows[0].name:20} round {number + 1}/{rounds}  {broker.name:12} {shown}{noise}')


# ---- system calls

def strace_total(path):
    with open(path) as f:
        for line in f:
            if line.rstrip().endswith('total'):
                return int(line.split()[3])
    return 0


def calls_of(broker, case, quick, seconds):
    """System calls and deliveries of a whole run under strace -c."""
    running = Running(broker, case.limits)
    out = os.path.join(running.dir, 'strace')
    tracer = None
    try:
        running.wait_ready()
        tracer = subprocess.Popen(['strace', '-f', '-c', '-o', out, '-p', str(running.process.pid)],
                                  stderr=subprocess.DEVNULL, preexec_fn=on_core(BROKER_CORE))
        time.sleep(0.5)
        report = generate(running, case, quick, ['--seconds', str(seconds), '--warmup', '0'])
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        return strace_total(out), report.get('account', {}).get('delivered', 0)
    finally:
        if tracer and tracer.poll() is None:
            tracer.kill()
        running.stop()


def count_calls(brokers, args):
    """System calls per delivery: a run less one that only connects."""
    if not shutil.which('strace'):
        say('bench: no strace: system calls are not counted')
        return {}
    result = {}
    for case in CASES:
        name = case.rows[0].name
        if name not in RELAY_RATIOS:
            continue
        for broker in brokers:
            try:
                idle, first = calls_of(broker, case, args.quick, 0)
                busy, all_of_it = calls_of(broker, case, args.quick, 1)
            except Void as reason:
                say(f'  strace {name} {broker.name}: {reason}')
                continue
            if all_of_it > first:
                result.setdefault(name, {})[broker.name] = (busy - idle) / (all_of_it - first)
                say(f'  strace {name:20} {broker.name:12} {result[name][broker.name]:.3f} calls per delivery')
    return result


# ---- tables

def show(value, unit):
    if value is None:
        return '?'
    if unit == 'us':
        return f'{value / 1e3:,.1f} µs'
    if unit == 'x':
        return f'{value:.2f}'
    return f'{value:,.0f}' + {'B': ' B', 'ns': ' ns', '/s': '/s'}.get(unit, '')


def collect(results, cases):
    """{row: {broker: {median, all, void}}}; one void round makes the figure void."""
    table = {}
    for case in cases:
        for row in case.rows:
            for broker, by_case in results.items():
                reports = by_case.get(case.rows[0].name)
                if not reports:
                    continue
                void = [r['void'] for r in reports if 'void' in r]
                values = [v for v in (figure(r, row) for r in reports) if v is not None]
                table.setdefault(row.name, {})[broker] = {
                    'median': statistics.median(values) if values and not void else None,
                    'all': values, 'void': void}
    return table


def median_of(table, row, broker):
    return table.get(row, {}).get(broker, {}).get('median')


def limit_of(condition, row, table):
    """The number that a condition comes to here, and how to say it."""
    factor = condition[0]
    if len(condition) == 1:
        limit = factor * 1e3 if row.unit == 'us' else factor
        return limit, '<= ' + show(limit, row.unit)
    if condition[1].startswith('='):
        other, says = median_of(table, condition[1][1:], 'knut'), f'own `{condition[1][1:]}`'
    else:
        other, says = median_of(table, row.name, condition[1]), condition[1]
    return None if other is None else factor * other, f'<= {factor} x {says}'


def target_cell(row, table):
    said, marks = [], []
    value = median_of(table, row.name, 'knut')
    for condition in row.target:
        limit, words = limit_of(condition, row, table)
        said.append(words)
        marks.append(None if value is None or limit is None else value <= limit)
    mark = '' if not marks or None in marks else ' ok' if all(marks) else ' **missed**'
    return ', '.join(said) + mark


def cell(row, broker, table, reference):
    entry = table.get(row.name, {}).get(broker)
    if entry is None:
        return ''
    if entry['median'] is None:
        return 'void' if entry['void'] else '?'
    text = show(entry['median'], row.unit)
    other = median_of(table, row.name, reference)
    if other and broker != reference and row.unit != 'x':
        text += f' ({entry["median"] / other:.2f})'
    return text


def print_table(cases, brokers, table, reference):
    names = [b.name for b in brokers]
    print('| figure | target | ' + ' | '.join(names) + ' |')
    print('|---|---|' + '---:|' * len(names))
    for case in cases:
        for row in case.rows:
            cells = [cell(row, name, table, reference) for name in names]
            print(f'| {row.title} (`{row.name}`) | {target_cell(row, table)} | ' + ' | '.join(cells) + ' |')
    print()


def print_relay_check(table):
    rows = [(n, w, median_of(table, n, 'relay'), median_of(table, n, 'mosquitto')) for n, w in RELAY_RATIOS.items()]
    rows = [r for r in rows if r[2] and r[3]]
    if not rows:
        return None
    good = True
    print('| relay / mosquitto | issue | here | within 15 % |\n|---|---:|---:|---|')
    for name, wanted, relay, mosquitto in rows:
        ratio = relay / mosquitto
        close = abs(ratio / wanted - 1) <= RELAY_TOLERANCE
        good = good and close
        print(f'| {name} | {wanted} | {ratio:.3f} | {"yes" if close else "**no**"} |')
    print()
    return good


def print_calls(calls):
    if not calls:
        return
    names = sorted({b for by in calls.values() for b in by})
    print('| system calls per delivery | ' + ' | '.join(names) + ' |\n|---|' + '---:|' * len(names))
    for row, by in calls.items():
        print(f'| {row} | ' + ' | '.join(f'{by[n]:.3f}' if n in by else '' for n in names) + ' |')
    print()


def print_noise(results):
    runs = [r for by in results.values() for reports in by.values() for r in reports]
    loud = sum(disturbance(r) >= DISTURBED for r in runs)
    if loud:
        print(f'- {loud} of {len(runs)} runs were disturbed: others used {DISTURBED:.0%} of a core or more meanwhile')


def print_voids(table):
    for row, by in table.items():
        for broker, entry in by.items():
            for reason in sorted(set(entry['void'])):
                print(f'- void: {row}, {broker}: {reason}')


def machine():
    model = ''
    with open('/proc/cpuinfo') as f:
        for line in f:
            if line.startswith('model name'):
                model = line.split(':', 1)[1].strip()
                break
    return {'processor': model or platform.machine(), 'cores': len(CORES), 'kernel': platform.release(),
            'date': datetime.datetime.now().isoformat(timespec='seconds'), 'load': os.getloadavg()[0]}


# ---- main

def pick_cases(only):
    if not only:
        return CASES
    wanted = only.split(',')
    return [c for c in CASES
            if any(fnmatch.fnmatch(row.name, w) for row in c.rows for w in wanted)]


def build():
    setup = os.path.join(ROOT, 'scripts', 'setup')
    if os.path.exists(setup) and not shutil.which('g++'):
        subprocess.run([setup, '--build'], check=True)
    subprocess.run(['make', '-s', '-C', HERE], check=True)


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('others', nargs='*', metavar='NAME=COMMAND:PORT')
    p.add_argument('--quick', action='store_true', help='small sizes, one round')
    p.add_argument('--only', help='rows or patterns, with commas')
    p.add_argument('--brokers', help='only these, with commas: knut,relay,mosquitto')
    p.add_argument('--rounds', type=int, default=0, help='3, and 5 for latency, if not given')
    p.add_argument('--knut', default=os.path.join(ROOT, 'build', 'release', 'knut'), metavar='PROGRAM')
    p.add_argument('--port', type=int, default=18800, help='first of five ports')
    p.add_argument('--nice', type=int, default=0, metavar='N',
                   help='of brokers and generator; below 0 (as root) against the noise of a machine that is not idle')
    p.add_argument('--patient', type=float, default=0, metavar='S',
                   help='wait up to S seconds for a quiet machine before each run, and repeat disturbed ones')
    p.add_argument('--output', default=os.path.join(BUILD, 'results.json'))
    p.add_argument('--strace', action='store_true', help='also count system calls per delivery')
    p.add_argument('--relay', action='store_true', help='check the null relay against mosquitto, no more')
    p.add_argument('--list', action='store_true', help='name the rows and end')
    return p.parse_args()


def main():
    global priority
    args = parse()
    priority = args.nice
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that brokers are stopped
    if args.relay:
        args.only, args.brokers, args.strace = ','.join(RELAY_RATIOS), args.brokers or 'relay,mosquitto', True
    cases = pick_cases(args.only)
    if args.list:
        for case in cases:
            for row in case.rows:
                print(f'{row.name:26} {row.title}')
        return 0
    build()
    raise_limits()
    brokers = brokers_of(args)
    here = machine()
    if here['load'] > 0.7:
        say(f'bench: the load average is {here["load"]:.1f}: others use this machine, figures will be noise')
    results = {}
    for case in cases:
        run_case(case, brokers, args, results)
    calls = count_calls([b for b in brokers if b.name in ('knut', 'relay', 'mosquitto')], args) if args.strace else {}

    table = collect(results, cases)
    print(f'{here["date"]}, {here["processor"]}, {here["cores"]} cores, Linux {here["kernel"]}, '
          + ', '.join(f'{b.name} {b.version}'.strip() for b in brokers)
          + (', QUICK: sizes are too small to mean much' if args.quick else '')
          + '. In brackets: the ratio to mosquitto.\n')
    print_table(cases, brokers, table, 'mosquitto')
    print_relay_check(table)
    print_calls(calls)
    print_noise(results)
    print_voids(table)
    with open(args.output, 'w') as f:
        json.dump({'machine': here, 'quick': args.quick, 'brokers': {b.name: b.version for b in brokers},
                   'table': table, 'system_calls_per_delivery': calls, 'runs': results}, f, indent=1)
    say(f'bench: wrote {os.path.relpath(args.output)}')
    return 1 if any(e['void'] for e in (b for by in table.values() for n, b in by.items() if n == 'knut')) else 0


if __name__ == '__main__':
    sys.exit(main())
