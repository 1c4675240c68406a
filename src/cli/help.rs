//! The longer texts of `--help`: examples first.

/// What `--version` says after the name.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("TIDEMILL_REVISION"), ")");

pub const PROGRAM: &str = "\
Examples:
  tidemill check dataflows/*.yaml
  tidemill explain dataflows/triggers.yaml --format mermaid
  tidemill run dataflows/triggers.yaml --brokers localhost:9092 -w 4
  tidemill run dataflows/triggers.yaml --input events=events.jsonl --output deliveries=-

Every flag is also a variable: TIDEMILL_ and its name in capitals, as in TIDEMILL_WORKERS=4. A flag wins.

Exit codes:
  0    all went well
  64   the arguments are wrong, or a file that they name is not there
  65   too many records were rejected
  69   something is not available: a broker, a topic, offsets that are gone, an address
  70   a bug of this program
  74   a file cannot be written
  75   try again: a broker or another process was lost, the drain timed out, another job took over
  77   not allowed: credentials, ACLs
  78   the dataflow file is wrong, or the processes of a job differ
  130  a second signal";

pub const RUN: &str = "\
Examples:
  One process with four workers:
    tidemill run dataflows/triggers.yaml --brokers kafka-1:9092,kafka-2:9092 -w 4

  The first of two processes:
    tidemill run dataflows/triggers.yaml --brokers kafka-1:9092 -w 4 -n 2 -p 0 --hosts a:2101,b:2101

  On files, without Kafka; results to standard output:
    tidemill run dataflows/triggers.yaml --input events=events.jsonl.gz --output deliveries=-

  With a password that no one sees:
    tidemill run FILE --brokers kafka:9093 -X security.protocol=SASL_SSL -X sasl.mechanism=PLAIN \\
      -X sasl.username=triggers -X sasl.password=@/run/secrets/kafka

Signals:
  SIGTERM, SIGINT   stop reading, deliver what is open, end with 0; a second one ends at once with 130
  SIGUSR1           write --report and --hgrm now

Times are written 250ms, 5s, 10m, 24h or 7d.";

pub const CHECK: &str = "\
Every mistake of every file is shown with its place and with what was expected. The exit code is 0 where there is
none, else 78; warnings do not count. Variables that a file names must be set.

Examples:
  tidemill check dataflows/triggers.yaml
  tidemill check dataflows/*.yaml && echo fine";

pub const EXPLAIN: &str = "\
Examples:
  tidemill explain dataflows/triggers.yaml
  tidemill explain dataflows/triggers.yaml --format dot | dot -Tsvg > triggers.svg
  tidemill explain dataflows/triggers.yaml --format json | jq .";

pub const SCHEMA: &str = "\
Example, for editors that speak to the YAML language server:
  tidemill schema > dataflow.schema.json
and as the first line of a dataflow file:
  # yaml-language-server: $schema=dataflow.schema.json";

pub const COMPLETIONS: &str = "\
Examples:
  tidemill completions bash > /etc/bash_completion.d/tidemill
  tidemill completions zsh > \"${fpath[1]}/_tidemill\"
  tidemill completions fish > ~/.config/fish/completions/tidemill.fish";
