//! The copy loop that uses the client library's own batch calls on both sides.

use std::ffi::CString;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka_sys as native;
use rdkafka_sys::rd_kafka_message_t as NativeMessage;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

const BATCH: usize = 1000;

/// Calibrator (b): copies `count` records by `rd_kafka_consume_batch_queue` and `rd_kafka_produce_batch` and does
/// nothing else. Returns when all are acknowledged. (The batch call for producing can keep neither times nor headers.)
pub fn copy_in_batches(brokers: &str, from: &str, to: &str, partitions: i32, count: usize) {
    let consumer = super::consumer(brokers, from, partitions);
    let producer: BaseProducer = super::producer_config(brokers).create().expect("a producer");
    let to = CString::new(to).expect("a topic's name");
    let mut taken: Vec<*mut NativeMessage> = Vec::with_capacity(BATCH);
    // SAFETY: both handles live to the end; queue and topic are given back before them. Messages are ours between
    // being taken and destroyed, and what is produced is copied by the call.
    unsafe {
        let queue = native::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
        let topic = native::rd_kafka_topic_new(producer.client().native_ptr(), to.as_ptr(), std::ptr::null_mut());
        let (mut copied, mut last) = (0, Instant::now());
        while copied < count {
            assert!(last.elapsed() < super::PATIENCE, "only {copied} of {count} records are there");
            let got = native::rd_kafka_consume_batch_queue(queue, 100, taken.as_mut_ptr(), BATCH);
            taken.set_len(usize::try_from(got).expect("reading goes on"));
            for run in taken.chunk_by(|a, b| (**a).partition == (**b).partition) {
                produce(&producer, topic, run);
            }
            copied += taken.len();
            if !taken.is_empty() {
                last = Instant::now();
            }
            taken.iter().for_each(|message| native::rd_kafka_message_destroy(*message));
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(120)).expect("all records are acknowledged");
        native::rd_kafka_topic_destroy(topic);
        native::rd_kafka_queue_destroy(queue);
    }
}

/// # Safety
/// `topic` is of this producer; `run` are messages of one partition.
unsafe fn produce(producer: &BaseProducer, topic: *mut native::rd_kafka_topic_t, run: &[*mut NativeMessage]) {
    // SAFETY: as promised by the caller. The entries are copies whose pointers stay valid during the call.
    unsafe {
        let mut batch: Vec<NativeMessage> = run.iter().map(|message| **message).collect();
        for message in &mut batch {
            assert_eq!(message.err, Code::RD_KAFKA_RESP_ERR_NO_ERROR, "reading goes on");
            message._private = std::ptr::null_mut();
        }
        let partition = batch[0].partition;
        while !batch.is_empty() {
            let count = i32::try_from(batch.len()).expect("a batch is small");
            native::rd_kafka_produce_batch(topic, partition, native::RD_KAFKA_MSG_F_COPY, batch.as_mut_ptr(), count);
            // What did not fit: again, once there is room.
            batch.retain(|message| message.err == Code::RD_KAFKA_RESP_ERR__QUEUE_FULL);
            if !batch.is_empty() {
                producer.poll(Duration::from_millis(10));
            }
        }
    }
}
