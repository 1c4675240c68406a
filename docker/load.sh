#!/bin/sh
# Makes the topics that the flagship reads and sends its samples to them, with Kafka's own tools.
#
# The samples are record lines, {"key":…,"value":…,"timestamp":…}; the console producer wants key|value. A line that is
# no such record stays out, headers and timestamps too: the broker gives its own.
set -eu
kafka=${KAFKA_BIN:-/opt/kafka/bin}

records() {
    sed -n 's/^{"key":"\([^"|]*\)","value":\(.*\),"timestamp":[0-9]*\(,"headers":{[^{}]*}\)\{0,1\}}$/\1|\2/p' "$1"
}

for name in orgs subscriptions events; do
    "$kafka/kafka-topics.sh" --bootstrap-server "$BROKERS" --create --if-not-exists --topic "triggers.$name.v1" --partitions 3
    records "$SAMPLES/$name.jsonl" | "$kafka/kafka-console-producer.sh" --bootstrap-server "$BROKERS" \
        --topic "triggers.$name.v1" --property parse.key=true --property 'key.separator=|' --property null.marker=null
done
