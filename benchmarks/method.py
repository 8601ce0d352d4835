"""The part of the page that says how each figure is made, so that a sceptic can repeat it."""

METHOD = """
## How it is made

`make bench` runs everything (about an hour), `make bench ARGS=--quick` a small version within five minutes, and
`make bench ARGS="--only peers,latency"` parts. The raw figures are in `bench.json`, in the folder `build`. The code is
in `benchmarks/`: one idea a file.

- **Servers.** A PostgreSQL and a one-node Apache Kafka of the run's own, on the machine's disk. `fsync`,
  `synchronous_commit` and `full_page_writes` are on. All contenders share them, one after the other.
- **Data.** Each point gets a fresh copy of a database with healthy connectors (the service's own schema), and fresh
  topics into which its inputs were written before the clock starts: CloudEvents in binary mode, keyed by connector.
  In the worst case, which all ratios are about, every input is a transition: each connector's syncs fail
  (`token_refused`) and succeed in turn. The *fleet mix* is a real one: 95 % are successes of healthy connectors,
  which change a row and publish nothing.
- **A point.** The contender's processes start; from its first published transition some seconds are discarded; then
  transitions that the broker has acknowledged are counted until the time is over or 97 % are through. CPU is read
  from the kernel for the client's processes, for PostgreSQL with all its backends, and for Kafka. A watermark that
  moves with the next batch's transaction makes ours look a batch later than it is.
- **The check.** After the run each connector must have exactly the state and version that its inputs lead to, the
  log exactly one row a transition, the transitions topic every version, first occurrences in order, and the
  compacted topic the newest version last. A contender that fails it is reported as failed. Runs of more than
  400,000 inputs aren't read again.
- **The bare loop.** The store's own `load` and `store`, with the same SQL, batches of 500, and as many loops and
  connections as a worker has, on batches that the service's own fold decided before the clock starts: no Kafka, no
  pydantic, no decisions, no garbage collector. It runs in passes of a second or so; the pauses between them are in
  its favour.
- **Without guarantees** the same loop passes no offsets, no epochs and no watermarks to the statement, so there is
  nothing to fence and nothing to move.
- **Interleaved.** A/B/A/B/A: each ratio is a point by the mean of the two beside it; the median of all is told.
- **Peers.** Each does the same work on the same topic and tables, in its own process on uvloop, as its
  documentation says: see `benchmarks/peers/`. The hand-written rules are a few ifs without validation. Several
  concurrencies are tried, the best counts. One process is compared with one worker; the figure with two processes
  stands beside it.
- **Latency.** A producer paces inputs evenly; the input's id is the time of its sending. *Durable* is the commit's
  own timestamp; since PostgreSQL takes that just before it flushes its log, the p99 of a lone commit's round trip
  is added to each. *Seen* is when a consumer in another process has the transition.
- **A lone transaction** is ours: one load and one store of one input on the idle database.
- **Restart.** The only worker is killed (SIGKILL) while it drains, another is started at once, and the consumed
  offset is looked at every ten milliseconds.
- **Steady and backlog.** A steady point drains what was written just before it; the backlog's is the same with so
  many more. Both start with everything written, so that no producer competes for the cores.
- **Profile.** A worker with a CPU timer that notes the function at work every 2 ms; C code counts to its caller.

- **Callback to sync request.** One process of the service with both roles, the simulator, and people whose browsers
  hold the provider's redirect; these are opened at a steady pace, and the time is taken until a consumer has the
  request.
"""
