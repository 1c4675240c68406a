//! JSON bytes in → matching rules out, on one thread: seven loads at 1,000, 10,000 and 100,000 rules.
//!
//! `cargo bench --bench match [-- --quick] [part of a load's name]`. Before a figure is printed, the load's results are compared with what they
//! must be: with the plain evaluator on every rule for some events, and by how the load is made for all of them.
//! Columns: matches an event; ns an event (mean: of this thread's CPU over whole passes, the best one; p50 and p99: of
//! events taken alone, by the wall clock, with about 25 ns of clock in them); ns of CPU to insert and to remove one rule
//! of a full index, the pattern already parsed; bytes a rule, as the allocator counts them and by the index's own word.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tidemill::matching::{Index, Scratch, reference};
use tidemill::pattern::Pattern;

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the allocator below unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { mimalloc::MiMalloc.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A small generator with a fixed seed: every run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 64] = [
            "ka", "ri", "to", "men", "sol", "ba", "lu", "ter", "nis", "go", "pra", "vel", "dor", "xi", "que",
            "ham", //
            "zu", "fe", "lon", "jar", "wi", "stre", "cho", "bi", "mo", "pan", "sti", "du", "ra", "ce", "ny",
            "gla", //
            "ten", "po", "sha", "el", "mir", "co", "ga", "hu", "ist", "ke", "no", "ver", "ya", "fi", "or",
            "us", //
            "ble", "an", "ti", "ro", "sa", "pe", "li", "dra", "quo", "hep", "ox", "im", "jo", "va", "we", "tra",
        ];
        (0..3 + self.below(2)).map(|_| SYLLABLES[self.below(SYLLABLES.len())]).collect()
    }
}

const TYPES: usize = 15;
const COUNTRIES: usize = 20;
const PLANS: usize = 10;
const ACCOUNTS: usize = 1000;
const WORDS: usize = 12_000;

#[derive(Clone, Copy, PartialEq)]
enum Load {
    User,
    AccountTypeUserAmount,
    ConstantsAndUser,
    NotSelective,
    Wildcards,
    AnythingBut,
    Subsets,
}

const LOADS: [(Load, &str); 7] = [
    (Load::User, "1 userId"),
    (Load::AccountTypeUserAmount, "2 account+type+userId+amount"),
    (Load::ConstantsAndUser, "3 three constants+userId"),
    (Load::NotSelective, "4 not selective"),
    (Load::Wildcards, "5 *word*, at most 12,000"),
    (Load::AnythingBut, "6 anything-but+userId"),
    (Load::Subsets, "7 subset of 6+userId"),
];

/// What an event and its rule have in common.
struct Facts {
    kind: usize,
    country: usize,
    plan: usize,
    account: usize,
}

/// The facts of user `i`, spread over all values.
fn facts(i: usize) -> Facts {
    let mut random = Random(i as u64);
    Facts {
        kind: random.below(TYPES),
        country: random.below(COUNTRIES),
        plan: random.below(PLANS),
        account: random.below(ACCOUNTS),
    }
}

fn rule(load: Load, i: usize, words: &[String]) -> String {
    let Facts { kind, country, plan, account } = facts(i);
    let mut random = Random(i as u64 ^ 0xABCD);
    let user = format!(r#""userId":["user-{i:07}"]"#);
    match load {
        Load::User => format!("{{{user}}}"),
        Load::AccountTypeUserAmount => format!(
            r#"{{"account":["acct-{account:05}"],"type":["type.{kind}"],{user},"amount":[{{"numeric":[">",{}]}}]}}"#,
            random.below(100)
        ),
        Load::ConstantsAndUser => {
            format!(r#"{{"source":["checkout"],"region":["eu-central-1"],"currency":["EUR"],{user}}}"#)
        }
        Load::NotSelective => {
            format!(r#"{{"type":["type.{kind}"],"country":["C{country}"],"plan":["plan-{plan}"]}}"#)
        }
        Load::Wildcards => format!(r#"{{"note":[{{"wildcard":"*{}*"}}]}}"#, words[i]),
        Load::AnythingBut => format!(r#"{{"status":[{{"anything-but":["failed","void"]}}],{user}}}"#),
        Load::Subsets => {
            let mut text = format!("{{{user}");
            let fields = [
                format!(r#","type":["type.{kind}"]"#),
                format!(r#","country":["C{country}"]"#),
                format!(r#","plan":["plan-{plan}"]"#),
                format!(r#","account":["acct-{account:05}"]"#),
                r#","status":["ok","void"]"#.to_owned(),
                r#","device":{"os":["ios"]}"#.to_owned(),
            ];
            for field in fields {
                if random.below(2) == 0 {
                    text.push_str(&field);
                }
            }
            if random.below(3) == 0 {
                let _ = write!(text, r#","amount":[{{"numeric":[">=",{}]}}]"#, random.below(50));
            }
            text + "}"
        }
    }
}

/// About 650 bytes, 20 leaf paths, an array of three objects.
fn event(i: usize, words: &[String], random: &mut Random) -> String {
    // One of ten users has no rule.
    let Facts { kind, country, plan, account } = facts(i);
    let status = ["ok", "ok", "ok", "void", "failed"][random.below(5)];
    let mut note = String::new();
    for _ in 0..5 {
        note += &random.word();
        note.push(' ');
    }
    note += &words[random.below(words.len())];
    let mut items = Vec::new();
    for _ in 0..3 {
        items.push(format!(
            r#"{{"sku":"sku-{:05}","price":{}.{:02},"quantity":{}}}"#,
            random.below(100_000),
            random.below(90),
            random.below(100),
            1 + random.below(4)
        ));
    }
    format!(
        concat!(
            r#"{{"id":"5f2b9c1e-{:08x}","source":"checkout","type":"type.{}","time":"2026-11-21T03:22:44.{:06}Z","#,
            r#""account":"acct-{:05}","userId":"user-{:07}","region":"eu-central-1","country":"C{}","plan":"plan-{}","#,
            r#""status":"{}","currency":"EUR","amount":{}.{:02},"taxes":{}.5,"test":false,"note":"{}","#,
            r#""device":{{"os":"{}","version":"17.4.{}"}},"session":"{:016x}","items":[{}],"#,
            r#""address":"Lange Strasse {}, 10115 Berlin","agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko","retries":{}}}"#
        ),
        random.below(1 << 30),
        kind,
        random.below(1_000_000),
        account,
        i,
        country,
        plan,
        status,
        random.below(150),
        random.below(100),
        random.below(20),
        note.trim_end(),
        ["ios", "ios", "android"][random.below(3)],
        random.below(9),
        random.below(1 << 40),
        items.join(","),
        random.below(300),
        random.below(3),
    )
}

/// ns of CPU that this thread has used.
fn cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, which it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

struct Setting {
    load: Load,
    patterns: Vec<Pattern>,
    words: Vec<String>,
    /// (user, bytes)
    events: Vec<(usize, String)>,
}

impl Setting {
    fn new(load: Load, rules: usize, events: usize) -> Self {
        let mut random = Random(7);
        let words: Vec<String> = (0..WORDS.min(rules)).map(|_| random.word()).collect();
        let rules = if load == Load::Wildcards { words.len() } else { rules };
        let patterns =
            (0..rules).map(|i| Pattern::parse(&rule(load, i, &words)).expect("the bench's own rule")).collect();
        let users = rules + rules / 9;
        let event = |_| {
            let user = random.below(users);
            (user, event(user, &words, &mut random))
        };
        let events = (0..events).map(event).collect();
        Self { load, patterns, words, events }
    }

    /// What must match, by how the load is made.
    fn expected(&self, user: usize, event: &str, by_facts: &[Vec<u32>]) -> Vec<u32> {
        match self.load {
            Load::NotSelective => by_facts[combination(&facts(user))].clone(),
            Load::Wildcards => {
                let note = event.split(r#""note":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
                (0..self.words.len() as u32).filter(|i| note.contains(&self.words[*i as usize])).collect()
            }
            _ => {
                let tree = serde_json::from_str(event).expect("the bench's own event");
                let rule = self.patterns.get(user).filter(|pattern| reference::matches(pattern, &tree));
                rule.map(|_| user as u32).into_iter().collect()
            }
        }
    }

    fn check(&self, index: &Index) -> f64 {
        let mut by_facts = vec![Vec::new(); TYPES * COUNTRIES * PLANS];
        for i in 0..self.patterns.len() {
            by_facts[combination(&facts(i))].push(i as u32);
        }
        let (mut scratch, mut found, mut matches) = (Scratch::default(), Vec::new(), 0);
        for (i, (user, event)) in self.events.iter().enumerate() {
            index.matches(event.as_bytes(), &mut scratch, &mut found).expect("the event is JSON");
            matches += found.len();
            if i % 4 == 0 || self.load != Load::Wildcards {
                assert_eq!(found, self.expected(*user, event, &by_facts), "{event}");
            }
            if i < 2 {
                let tree = serde_json::from_str(event).expect("the event is JSON");
                let all = 0..self.patterns.len() as u32;
                let plain: Vec<u32> = all.filter(|i| reference::matches(&self.patterns[*i as usize], &tree)).collect();
                assert_eq!(found, plain, "{event}");
            }
        }
        matches as f64 / self.events.len() as f64
    }
}

fn combination(facts: &Facts) -> usize {
    (facts.kind * COUNTRIES + facts.country) * PLANS + facts.plan
}

fn build(patterns: &[Pattern]) -> (Index, usize) {
    let before = ALLOCATED.load(Ordering::Relaxed);
    let mut index = Index::new();
    for (i, pattern) in patterns.iter().enumerate() {
        index.insert(i as u32, pattern);
    }
    let after = ALLOCATED.load(Ordering::Relaxed);
    (index, after - before)
}

/// ns an event: mean of the best of some passes, and the events taken alone, sorted.
fn time(index: &Index, events: &[(usize, String)], passes: usize) -> (f64, Vec<u64>) {
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    let mut best = f64::INFINITY;
    let mut alone = Vec::with_capacity(events.len());
    for _ in 0..passes {
        let start = cpu();
        for (_, event) in events {
            let _ = black_box(index.matches(event.as_bytes(), &mut scratch, &mut found));
        }
        best = best.min((cpu() - start) / events.len() as f64);
    }
    for (_, event) in events {
        let start = Instant::now();
        let _ = black_box(index.matches(event.as_bytes(), &mut scratch, &mut found));
        alone.push(start.elapsed().as_nanos() as u64);
    }
    alone.sort_unstable();
    (best, alone)
}

/// ns to insert and to remove a rule.
fn churn(index: &mut Index, patterns: &[Pattern]) -> (f64, f64) {
    let mut random = Random(99);
    let mut chosen: Vec<u32> = (0..patterns.len().min(10_000)).map(|_| random.below(patterns.len()) as u32).collect();
    chosen.sort_unstable();
    chosen.dedup();
    for i in (1..chosen.len()).rev() {
        chosen.swap(i, random.below(i + 1));
    }
    let start = cpu();
    for rule in &chosen {
        assert!(index.remove(*rule));
    }
    let removed = cpu();
    for rule in &chosen {
        index.insert(*rule, &patterns[*rule as usize]);
    }
    ((cpu() - removed) / chosen.len() as f64, (removed - start) / chosen.len() as f64)
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let sizes: &[usize] = if quick { &[1_000, 10_000] } else { &[1_000, 10_000, 100_000] };
    let (events, passes) = if quick { (4_000, 3) } else { (20_000, 5) };
    println!(
        "{:<30} {:>7} {:>8} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "load", "rules", "matches", "mean", "p50", "p99", "insert", "remove", "B/rule", "own"
    );
    let setting = Setting::new(Load::User, 1000, events);
    let (floor, alone) = time(&Index::new(), &setting.events, passes);
    let size: usize = setting.events.iter().map(|(_, event)| event.len()).sum();
    println!(
        "{:<30} {:>7} {:>8} {floor:>7.0} {:>7} {:>8}   ({} B an event)",
        "0 no rules: the scan alone",
        0,
        0,
        alone[alone.len() / 2],
        alone[alone.len() * 99 / 100],
        size / setting.events.len()
    );
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    for (load, name) in LOADS.into_iter().filter(|(_, name)| name.contains(&filter)) {
        for rules in sizes {
            let setting = Setting::new(load, *rules, events);
            let (mut index, allocated) = build(&setting.patterns);
            let matches = setting.check(&index);
            let (mean, alone) = time(&index, &setting.events, passes);
            let (insert, remove) = churn(&mut index, &setting.patterns);
            setting.check(&index);
            let count = setting.patterns.len();
            println!(
                "{name:<30} {count:>7} {matches:>8.2} {mean:>7.0} {:>7} {:>8} {insert:>8.0} {remove:>8.0} {:>8} {:>7}",
                alone[alone.len() / 2],
                alone[alone.len() * 99 / 100],
                allocated / count,
                index.bytes() / count
            );
        }
    }
}
