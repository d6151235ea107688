"""cases.py -- the benchmark's table: what is run, which figures are read from
it, and what knut must reach (issue 3).

A target is a list of conditions, all of which must hold:
    (number,)          an absolute limit
    (factor, 'relay')  factor times what that broker shows in the same row
    (factor, '=ROW')   factor times knut's own figure in another row
"""
from dataclasses import dataclass, field


@dataclass
class Row:
    name: str          # unique, for --only and targets
    title: str
    key: str           # path in the generator's report
    unit: str          # 'B', 'ns', 'us', '/s', 'x' or '%'
    target: list = field(default_factory=list)
    scale: float = 1.0 # the report's number times this


@dataclass
class Case:
    args: str          # of the load generator
    rows: list
    quick: str = ''    # replaces arguments with --quick
    ws: bool = False
    relay: bool = True # the null relay can play
    rounds: int = 0    # 0: as many as asked for
    limits: str = 'open' # 'open': queues without limit, so that nothing may be lost; 'default'
    timeout: int = 300


CPU = 'cpu_ns_per_delivery'


def traffic(name, title, args, target=None, more=(), **rest):
    rows = [Row(name, title, CPU, 'ns', target or [])]
    rows += [Row(f'{name}.{suffix}', f'{title}: {what}', key, unit, list(limit))
             for suffix, what, key, unit, limit in more]
    return Case(args, rows, quick=rest.pop('quick', '--seconds 0.5 --warmup 0.2'), **rest)


def latency(limits=None):
    limits = limits or {}
    return [(p, f'latency {label}', f'latency_ns.{p}', 'us', limits.get(p, []))
            for p, label in (('p50', 'p50'), ('p99', 'p99'), ('p999', 'p99.9'), ('max', 'max'))]


THROUGHPUT = ('rate', 'deliveries a second', 'deliveries_per_s', '/s', [])

FEW = '--seconds 0.5 --warmup 0.2'

CASES = [
    # ---- connections
    Case('idle --count 10000', [
        Row('idle', 'idle connection', 'bytes_each', 'B', [(256,)]),
        Row('idle.cpu', 'processor time per connect', 'cpu_ns_per_connect', 'ns'),
        Row('idle.return', 'resident memory after 10,000 connections / before', 'rss_end_to_begin', 'x', [(1.1,)]),
    ], quick='--count 2000', relay=False),
    Case('idle --count 10000 --subscribe 1', [
        Row('idle-sub', 'idle connection with a subscription of its own', 'bytes_each', 'B', [(400,)]),
    ], quick='--count 2000', relay=False),
    Case('idle --count 10000', [
        Row('idle-ws', 'idle WebSocket connection', 'bytes_each', 'B', [(300,)]),
        Row('idle-ws.cpu', 'processor time per WebSocket connect', 'cpu_ns_per_connect', 'ns'),
    ], quick='--count 2000', ws=True, relay=False),
    Case('storm --count 20000', [
        Row('storm', 'connect and disconnect', 'cpu_us_per_cycle', 'us', [(15,)], scale=1e3),
    ], quick='--count 4000'),

    # ---- fan-out
    traffic('fanout-1', 'fan-out 1 to 1,000, QoS 0, 1 under way', 'fanout --subs 1000 --window 1',
            [(1.1, 'relay')], [THROUGHPUT]),
    traffic('fanout-16', 'fan-out, 16 under way', 'fanout --subs 1000 --window 16', [(1.5, 'relay')], [THROUGHPUT]),
    traffic('fanout-16-v5', 'fan-out, 16 under way, MQTT 5', 'fanout --subs 1000 --window 16 --version 5'),
    traffic('fanout-16b', 'fan-out, payload 16 B, 16 under way', 'fanout --subs 1000 --window 16 --payload 16'),
    traffic('fanout-256b', 'fan-out, payload 256 B, 16 under way', 'fanout --subs 1000 --window 16 --payload 256'),
    traffic('fanout-4k', 'fan-out, payload 4 KiB, 4 under way', 'fanout --subs 1000 --window 4 --payload 4096',
            [(1.3, 'relay')]),
    traffic('fanout-256k', 'fan-out 1 to 100, payload 256 KiB, 1 under way',
            'fanout --subs 100 --window 1 --payload 262144'),
    traffic('fanout-to-10', 'fan-out 1 to 10, 1 under way', 'fanout --subs 10 --window 1'),
    traffic('fanout-to-100', 'fan-out 1 to 100, 1 under way', 'fanout --subs 100 --window 1'),
    traffic('fanout-qos1', 'fan-out, QoS 1, 16 under way', 'fanout --subs 1000 --window 16 --qos 1', [(500,)]),
    traffic('fanout-qos1-v5', 'fan-out, QoS 1, 16 under way, MQTT 5',
            'fanout --subs 1000 --window 16 --qos 1 --version 5', [(500,)]),
    traffic('fanout-qos2', 'fan-out, QoS 2, 4 under way', 'fanout --subs 1000 --window 4 --qos 2', [(2500,)]),

    # ---- fan-in and pairs
    traffic('fanin-1', 'fan-in 1,000 to 1, QoS 0, 1 under way each', 'fanin --pubs 1000 --window 1',
            [(1.15, 'relay')]),
    traffic('pairs-1', '500 pairs, QoS 0, 1 under way each', 'pairs --pairs 500 --window 1',
            [(1.15, 'relay')], [THROUGHPUT]),
    traffic('pairs-1-v5', '500 pairs, QoS 0, 1 under way each, MQTT 5', 'pairs --pairs 500 --window 1 --version 5'),
    traffic('pairs-16', '500 pairs, 16 under way each', 'pairs --pairs 500 --window 16', [(2, 'relay')], [THROUGHPUT]),
    traffic('pairs-4k', '500 pairs, payload 4 KiB, 1 under way each', 'pairs --pairs 500 --window 1 --payload 4096'),
    traffic('pairs-qos1', '500 pairs, QoS 1, 1 under way each', 'pairs --pairs 500 --window 1 --qos 1',
            [(1.25, 'relay'), (0.6, 'mosquitto')]),
    traffic('pairs-qos2', '500 pairs, QoS 2, 1 under way each', 'pairs --pairs 500 --window 1 --qos 2',
            [(1.25, 'relay'), (0.6, 'mosquitto')]),

    # ---- one pair
    *[traffic(f'pingpong-qos{q}', f'one pair, ping-pong, QoS {q}', f'pairs --pairs 1 --window 1 --qos {q}',
              more=latency()) for q in (0, 1, 2)],
    traffic('pair', 'one pair, windowed throughput (100), QoS 0', 'pairs --pairs 1 --window 100',
            [(2, 'relay')], [THROUGHPUT]),
    traffic('pair-qos1', 'one pair, windowed throughput (16), QoS 1', 'pairs --pairs 1 --window 16 --qos 1',
            more=[THROUGHPUT]),
    traffic('pair-qos2', 'one pair, windowed throughput (16), QoS 2', 'pairs --pairs 1 --window 16 --qos 2',
            more=[THROUGHPUT]),
    traffic('pair-256k', 'one pair, payload 256 KiB, 4 under way', 'pairs --pairs 1 --window 4 --payload 262144',
            more=[THROUGHPUT]),
    traffic('latency', '10,000 messages a second over 500 pairs', 'pairs --pairs 500 --rate 10000 --seconds 5 --warmup 1',
            more=latency({'p50': [(1.2, 'relay')], 'p99': [(1.5, 'relay')]}), rounds=5,
            quick='--seconds 1 --warmup 0.2'),

    # ---- WebSocket
    traffic('fanout-ws-1', 'fan-out over WebSocket, 1 under way', 'fanout --subs 1000 --window 1', ws=True, relay=False),
    traffic('fanout-ws-16', 'fan-out over WebSocket, 16 under way', 'fanout --subs 1000 --window 16',
            [(1.3, '=fanout-16')], ws=True, relay=False),
    traffic('pairs-ws-1', '500 pairs over WebSocket, 1 under way each', 'pairs --pairs 500 --window 1',
            ws=True, relay=False),

    # ---- routing
    *[Case(f'match --subs {n} --kind {kind}', [
        Row(f'match-{kind}-{label}', f'publish that matches 3 of {n:,} subscriptions, {kind}', 'cpu_ns_per_publish', 'ns',
            [(1.2, f'=match-{kind}-1k')] if label == '1m' else []),
        *([Row(f'match-{kind}-{label}.pause', f'longest latency of others while {n:,} subscriptions come ({kind})',
               'latency_while_growing_ns.max', 'us', [(5000,)] if kind == 'exact' else [])] if label == '1m' else []),
    ], quick='--seconds 0.5 --warmup 0.2' + (' --subs 50000' if label == '1m' else ''), relay=False)
        for kind in ('exact', 'wild') for n, label in ((1000, '1k'), (30_000, '30k'), (1_000_000, '1m'))],
    Case('match --subs 100000 --kind own', [
        Row('subscription', 'subscription, a topic each', 'bytes_per_subscription', 'B', [(100,)]),
        Row('subscription.return', 'resident memory after 100,000 subscriptions / before', 'rss_end_to_begin', 'x'),
    ], quick=FEW + ' --subs 30000', relay=False),
    Case('shapes --shapes 10000', [
        Row('shapes', 'publish among 10,000 wildcard shapes / its usual cost', 'ratio', 'x', [(5,)]),
    ], quick=FEW + ' --shapes 2000', relay=False),

    # ---- what is kept
    Case('retained --count 100000', [
        Row('retained', 'retained message', 'bytes_per_message', 'B', [(220,)]),
        Row('retained.cpu', 'retained message delivered (`#` over 100,000)', 'cpu_ns_per_message_delivered', 'ns', [(400,)]),
        Row('retained.others', 'p99.9 of others meanwhile', 'latency_meanwhile_ns.p999', 'us', [(5000,)]),
        Row('retained.growth', 'resident memory meanwhile, per message', 'rss_growth_meanwhile_per_message', 'B', [(64,)]),
        Row('retained.return', 'resident memory after 100,000 retained / before', 'rss_end_to_begin', 'x', [(1.1,)]),
    ], quick='--count 20000', relay=False),
    Case('pick --count 1000000', [
        Row('pick', 'subscription that matches ten of 1,000,000 retained', 'cpu_us_per_subscription', 'us', [(1000,)], scale=1e3),
    ], quick='--count 50000 --times 50', relay=False),
    Case('offline --sessions 1000 --messages 1000 --kind own', [
        Row('offline', 'offline session', 'bytes_per_session', 'B', [(450,)]),
        Row('queued-own', 'queued message, a topic each', 'bytes_per_message', 'B', [(200,)]),
        Row('queued-own.cpu', 'queued message delivered on return, QoS 1', 'cpu_ns_per_message_returned', 'ns'),
        Row('queued-own.return', 'resident memory after 1,000,000 queued / before', 'rss_end_to_begin', 'x', [(1.1,)]),
    ], quick='--sessions 1000 --messages 50', relay=False),
    Case('offline --sessions 1000 --messages 1000 --kind shared', [
        Row('queued-shared', 'queued message, one topic for all', 'bytes_per_message', 'B', [(24,)]),
        Row('queued-shared.cpu', 'the same, delivered on return, QoS 1', 'cpu_ns_per_message_returned', 'ns'),
    ], quick='--sessions 1000 --messages 50', relay=False),

    # ---- a slow reader
    Case('slow --subs 100 --payload 4096 --seconds 3', [
        Row('slow.before', 'fan-out 1 to 100, 4 KiB, all read', 'all_read.cpu_ns_per_delivery', 'ns'),
        Row('slow', 'the same while one more does not read', 'one_deaf.cpu_ns_per_delivery', 'ns', [(1.1, '=slow.before')]),
        Row('slow.p99', 'latency p99 of the others meanwhile', 'one_deaf.latency_ns.p99', 'us', [(1.5, '=slow.p99-before')]),
        Row('slow.p99-before', 'latency p99 before', 'all_read.latency_ns.p99', 'us'),
    ], quick='--seconds 0.7 --warmup 0.2', relay=False, limits='default'),
]

# What the relay must show beside Debian's mosquitto 2.0.11, within 15 %.
RELAY_RATIOS = {'fanout-1': 0.47, 'pairs-1': 0.50, 'fanout-16': 0.032}
RELAY_TOLERANCE = 0.15
