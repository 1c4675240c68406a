//! The loops that benchmarks are compared with do copy everything, in order.

#[path = "../../benches/calibrate/mod.rs"]
mod loops;

use crate::support::Broker;
use loops::{Load, copy_in_batches, copy_one_by_one, load, measure};

#[test]
fn both_loops_copy_every_record_in_order() {
    let broker = Broker::shared();
    let from = broker.topic("load", 3);
    let mut number = 0;
    load(&broker.address, &from, |send| {
        let (key, value) = (number.to_string(), format!("value {number}"));
        let key = (number % 2 == 0).then_some(key.as_bytes());
        send(Load { partition: number % 3, key, value: value.as_bytes(), timestamp: 1_700_000_000_000 });
        number += 1;
        number < 20_000
    });
    let loaded = broker.read_all(&from);
    assert_eq!(loaded.len(), 20_000);
    for copy in [copy_one_by_one, copy_in_batches] {
        let to = broker.topic("copy", 3);
        let ((), cost) = measure(|| copy(&broker.address, &from, &to, 3, 20_000));
        assert!(cost.cpu > std::time::Duration::ZERO);
        let strip = |records: Vec<crate::support::Got>| -> Vec<_> {
            records.into_iter().map(|got| (got.partition, got.offset, got.key, got.value)).collect()
        };
        assert!(strip(broker.read_all(&to)) == strip(loaded.clone()), "the copy differs");
    }
}
