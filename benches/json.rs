//! What one pass over a payload costs: checking all of it, and reading the slots that a plan names.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tidemill::event::Value;
use tidemill::json::{Path, Reader, Segment};

/// An order of the orders job: 150 bytes.
const SMALL: &str = r#"{"id":"o-00012345","ts":1767225600123,"type":"order","user":"u-004711","country":"DE","amount":129.90,"items":3,"note":"leave it at the side door, ok?"}"#;

/// An event of the match bench: 650 bytes, 20 leaf paths, an array of 3 objects.
const LARGE: &str = r#"{"id":"5f0c2b9e-7a41-4d6e-9d4e-1f7c2a90b3d1","source":"/shop/eu-west-1/orders","type":"order.paid","time":"2026-11-21T09:30:00.123Z","account":"acct-0042","userId":"user-00012345","region":"eu-west-1","device":{"os":"android","version":"14.2","model":"Pixel 9"},"data":{"amount":1299.50,"currency":"EUR","status":"captured","retry":false,"attempt":1,"coupon":null,"items":[{"sku":"SKU-11873","qty":2,"price":19.99},{"sku":"SKU-20991","qty":1,"price":1249.00},{"sku":"SKU-00007","qty":5,"price":2.10}],"address":{"city":"Berlin","zip":"10115","country":"DE"}},"note":"please ring twice and leave it with the neighbours if nobody is in, thank you very much","v":3}"#;

fn path(text: &str) -> Path {
    Path(text.split('.').map(|name| Segment::Field(name.into())).collect())
}

fn read(c: &mut Criterion) {
    let cases: [(&str, &str, &[&str]); 5] = [
        ("150 B, 0 slots", SMALL, &[]),
        ("150 B, 3 slots", SMALL, &["type", "user", "amount"]),
        ("650 B, 0 slots", LARGE, &[]),
        ("650 B, 5 slots", LARGE, &["type", "account", "userId", "data.amount", "data.address.country"]),
        ("650 B, 1 JSON slot", LARGE, &["data.items"]),
    ];
    for (name, payload, paths) in cases {
        let reads: Vec<_> = paths.iter().map(|text| path(text)).zip(0..).collect();
        let reader = Reader::new(&reads, 64);
        let mut slots = vec![Value::Null; paths.len()];
        reader.read(payload.as_bytes(), &mut slots).expect("the payload is JSON");
        assert!(slots.iter().all(|slot| !slot.is_null()), "{name}: every path is there");
        c.bench_function(&format!("read {name}"), |b| {
            b.iter(|| reader.read(black_box(payload.as_bytes()), black_box(&mut slots)));
        });
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
