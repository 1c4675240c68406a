//! Epochs of files: shares, ends, long lines, packed files.

use super::*;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

fn epoch(feed: &mut Feed, records: usize) -> Vec<(u32, i64, String)> {
    epoch_of(feed, records, usize::MAX)
}

/// Takes so many chunks at a time.
fn epoch_of(feed: &mut Feed, records: usize, most: usize) -> Vec<(u32, i64, String)> {
    feed.begin(records);
    let mut lines = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let before = lines.len();
        feed.take(&mut lines, before.saturating_add(most)).unwrap();
        assert!(lines.len() - before <= most);
        if feed.is_complete() {
            break;
        }
        assert!(Instant::now() < deadline, "the reader does not answer");
        std::thread::yield_now();
    }
    let texts = |l: &Lines| {
        l.ranges().map(|(n, at)| (l.input, n, String::from_utf8(l.bytes[at].to_vec()).unwrap())).collect::<Vec<_>>()
    };
    // Files come in the order in which their readers were quick.
    lines.sort_by_key(|l| (l.input, l.first));
    lines.iter().flat_map(texts).collect()
}

#[test]
fn epochs_share_the_records_among_files_and_an_ended_file_leaves_its_share() {
    let (_a, a) = file("a", b"a0\r\na1\n\r\na3");
    let (_b, b) = file("b", b"b0\n");
    let mut feed = Feed::open(&[a, b], 5, Arc::new(|| ())).unwrap();
    let owned = |l: &[(u32, i64, &str)]| l.iter().map(|(i, n, t)| (*i, *n, t.to_string())).collect::<Vec<_>>();
    assert_eq!(epoch(&mut feed, 2), owned(&[(5, 0, "a0"), (6, 0, "b0")]));
    assert_eq!(epoch(&mut feed, 2), owned(&[(5, 1, "a1"), (5, 3, "a3")]), "a blank line is no record");
    assert_eq!(epoch(&mut feed, 2), []);
    assert!(feed.all_ended());
}

#[test]
fn an_epoch_is_the_same_however_few_chunks_are_taken_at_a_time() {
    let lines = |name: &str, n: usize| (0..n).map(|i| format!("{name} {i:0>200}\n")).collect::<String>();
    let (_a, a) = file("a", lines("a", 3_000).as_bytes());
    let (_b, b) = file("b", lines("b", 9_000).as_bytes());
    let all = |most| {
        let mut feed = Feed::open(&[a.clone(), b.clone()], 0, Arc::new(|| ())).unwrap();
        let epochs: Vec<_> = (0..4).map(|_| epoch_of(&mut feed, 5_000, most)).collect();
        assert!(feed.all_ended());
        epochs
    };
    let expected = all(usize::MAX);
    assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [5_000, 5_000, 2_000, 0]);
    assert!(all(1) == expected && all(3) == expected);
}

#[test]
fn files_take_turns_where_an_epoch_has_fewer_records_than_there_are_files() {
    let (_a, a) = file("a", b"a0\na1\na2");
    let (_b, b) = file("b", b"b0\nb1");
    let mut feed = Feed::open(&[a, b], 0, Arc::new(|| ())).unwrap();
    let one_each: Vec<_> = (0..5).map(|_| epoch(&mut feed, 1)[0].2.clone()).collect();
    assert_eq!(one_each, ["a0", "b0", "a1", "b1", "a2"]);
}

#[test]
fn packed_files_are_unpacked() {
    let text = (0..50_000).map(|i| format!("line {i}\n")).collect::<String>();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    let packed = [("x.gz", gz.finish().unwrap()), ("x.zst", zstd::encode_all(text.as_bytes(), 1).unwrap())];
    for (name, content) in packed {
        let (_dir, path) = file(name, &content);
        let mut feed = Feed::open(&[path], 0, Arc::new(|| ())).unwrap();
        let lines = epoch(&mut feed, 60_000);
        assert_eq!(lines.len(), 50_000);
        assert_eq!(lines[49_999], (0, 49_999, "line 49999".to_owned()));
    }
}

#[test]
fn lines_are_whole_however_many_reads_they_take() {
    let lengths = [3, 700_000, 0, 131_072, 131_071, 1, 262_143, 5];
    let expected: Vec<String> = (b'a'..).zip(lengths).map(|(c, n)| char::from(c).to_string().repeat(n)).collect();
    let (_dir, path) = file("long", expected.join("\n").as_bytes());
    let mut feed = Feed::open(&[path], 0, Arc::new(|| ())).unwrap();
    let lines = epoch(&mut feed, 100).into_iter().map(|(_, _, text)| text);
    assert!(lines.eq(expected.into_iter().filter(|line| !line.is_empty())));
}

#[test]
fn a_reader_of_long_lines_is_no_further_ahead_than_one_of_short_ones() {
    const LINE: usize = 4 << 20;
    struct LongLines(Arc<AtomicUsize>);
    impl Read for LongLines {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let at = self.0.load(Ordering::SeqCst);
            let n = to.len().min(LINE - at % LINE).min(20 * LINE - at);
            to[..n].fill(b'x');
            if n > 0 && (at + n).is_multiple_of(LINE) {
                to[n - 1] = b'\n';
            }
            self.0.store(at + n, Ordering::SeqCst);
            Ok(n)
        }
    }
    let (to, from) = sync_channel(AHEAD);
    let read = Arc::new(AtomicUsize::new(0));
    let lines = LongLines(read.clone());
    let reader = std::thread::spawn(move || read_lines(lines, 0, &to, &|| ()));
    let mut received = 0;
    while let Ok(message) = from.recv_timeout(Duration::from_secs(10)) {
        if let Message::Lines(lines) = message {
            received += lines.bytes.len();
        }
        // One is in the queue, one wants to go there, and one is in hand.
        assert!(read.load(Ordering::SeqCst) - received <= 3 * LINE);
    }
    reader.join().unwrap().unwrap();
    assert_eq!(received, 20 * LINE);
}

#[test]
fn a_missing_file_says_its_name() {
    let error = Feed::open(&["/no/such".to_owned()], 0, Arc::new(|| ())).err().unwrap();
    assert!(error.message.contains("/no/such"), "{error}");
}
