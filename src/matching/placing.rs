//! Records put into the index and taken out, with everything that counts them; and put elsewhere when more is known.

use smallvec::SmallVec;

use super::access::tag;
use super::buckets::{IMPLIED, NESTED, Record, SHARED, Spot};
use super::filing::{Place, Plan, Planner, Shape};
use super::packed::{Cursor, PathId, conditions};
use super::{Class, Filing, Index, RuleHandle};

/// A rule's body of this many bytes, over all its keys, is kept once and not beside each key.
const MAX_COPIES: usize = 2048;

impl Index {
    pub(super) fn planner(&self) -> Planner<'_> {
        Planner { paths: &self.paths, buckets: &self.buckets, statistics: &self.statistics, shapes: &self.shapes }
    }

    pub(super) fn set_class(&mut self, rule: RuleHandle, class: Option<Class>) {
        let old = std::mem::replace(&mut self.rules[rule as usize].class, class);
        if let Some(old) = old {
            self.classes[old as usize] -= 1;
        }
        if let Some(class) = class {
            self.classes[class as usize] += 1;
        }
    }

    /// Files a conjunction where the plan says; hashes of buckets that are due for a review are appended.
    pub(super) fn file(&mut self, rule: RuleHandle, conjunction: u16, body: &[u8], plan: Plan, crowded: &mut Vec<u64>) {
        let nested = if self.is_nested(body) { NESTED } else { 0 };
        let copies = plan.places.len();
        let shared = (copies > 1 && body.len() * copies > MAX_COPIES).then(|| self.buckets.share(body, copies as u32));
        // Of more conditions than `known` has bits no key can imply all.
        let unused = 32u32.checked_sub(conditions(body).count().min(33) as u32);
        let all = unused.and_then(|bits| u32::MAX.checked_shr(bits));
        for place in plan.places {
            let known = if let Place::Bucket { known, .. } = &place { *known } else { 0 };
            let mut flags = nested | if all == Some(known) { IMPLIED } else { 0 };
            let mut kept = body;
            if let Some(bytes) = &shared {
                flags |= SHARED;
                kept = bytes;
            }
            let record = Record { handle: rule, known, conjunction, flags, body: kept };
            let filing = match place {
                Place::Bucket { hash, key, .. } => {
                    let (spot, review) = self.buckets.insert(hash, &key, &record);
                    if review {
                        crowded.push(hash);
                    }
                    self.count_key(&key, true);
                    Filing::Bucket { hash, segment: spot.segment, conjunction }
                }
                Place::Range { path, bounds } => {
                    let mut bytes = Vec::new();
                    record.write(&mut bytes);
                    let ranges = self.paths.nodes[path as usize].access.ranges.get_or_insert_default();
                    Filing::Range { path, id: ranges.insert(bounds, bytes.into()), conjunction }
                }
            };
            self.push_filing(rule, filing);
        }
        let class = self.class_of(rule).max(Some(plan.class));
        self.set_class(rule, class);
    }

    fn push_filing(&mut self, rule: RuleHandle, filing: Filing) {
        let filings = &mut self.rules[rule as usize].filings;
        let before = if filings.spilled() { filings.capacity() } else { 0 };
        filings.push(filing);
        let after = if filings.spilled() { filings.capacity() } else { 0 };
        self.spilled += (after - before) * size_of::<Filing>();
    }

    /// Takes the records of a conjunction out; its body.
    pub(super) fn unfile(&mut self, rule: RuleHandle, conjunction: u16) -> Vec<u8> {
        let mut body = Vec::new();
        let mut filings = std::mem::take(&mut self.rules[rule as usize].filings);
        for filing in filings.iter().filter(|filing| filing.conjunction() == conjunction) {
            let record = match *filing {
                Filing::Bucket { hash, segment, .. } => {
                    let (key, record) = self
                        .buckets
                        .remove(Spot { hash, segment }, rule, conjunction)
                        .expect("a filing says where a record is");
                    self.count_key(&key, false);
                    record
                }
                Filing::Range { path, id, .. } => {
                    let access = &mut self.paths.nodes[path as usize].access;
                    let ranges = access.ranges.as_mut().expect("a filing says where a record is");
                    ranges.remove(id).into_vec()
                }
            };
            let record = Record::read(&mut Cursor::new(&record));
            if body.is_empty() {
                body.extend_from_slice(self.buckets.body(&record));
            }
            self.buckets.unshare(record.flags, record.body);
        }
        let before = if filings.spilled() { filings.capacity() } else { 0 };
        filings.retain(|filing| filing.conjunction() != conjunction);
        filings.shrink_to_fit();
        let after = if filings.spilled() { filings.capacity() } else { 0 };
        self.spilled -= (before - after) * size_of::<Filing>();
        self.rules[rule as usize].filings = filings;
        body
    }

    /// Whether two fields have a key in common on their way, so that they may stand in one array.
    fn is_nested(&self, body: &[u8]) -> bool {
        let mut tops: SmallVec<[PathId; 16]> = conditions(body).map(|c| self.paths.top(c.path)).collect();
        tops.sort_unstable();
        tops.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Counts a key at its paths.
    fn count_key(&mut self, key: &[u8], more: bool) {
        let mut cursor = Cursor::new(key);
        let kind = cursor.u8();
        let path = cursor.u32();
        if kind != tag::EQUAL {
            let access = &mut self.paths.nodes[path as usize].access;
            access.count(kind, path, cursor.rest, more);
            if kind == tag::ABSENT && more && access.absent == 1 {
                self.absent.push(path);
            } else if kind == tag::ABSENT && !more && access.absent == 0 {
                self.absent.retain(|absent| *absent != path);
            }
            return;
        }
        cursor.alternative();
        if cursor.is_empty() {
            return self.paths.nodes[path as usize].access.count(kind, path, &[], more);
        }
        let mut shape: SmallVec<[PathId; 6]> = SmallVec::from_slice(&[path]);
        while !cursor.is_empty() {
            shape.push(cursor.u32());
            cursor.alternative();
        }
        self.count_shape(&shape, more);
    }

    fn count_shape(&mut self, paths: &[PathId], more: bool) {
        let at = self.shapes.position(paths).unwrap_or_else(|| {
            let free = self.shapes.all.iter().position(|shape| shape.filed == 0);
            let at = free.unwrap_or(self.shapes.all.len());
            if free.is_none() {
                self.shapes.all.push(Shape { paths: SmallVec::new(), filed: 0 });
            }
            self.shapes.all[at].paths = SmallVec::from_slice(paths);
            for path in paths {
                self.paths.nodes[*path as usize].access.shaped += 1;
            }
            self.paths.nodes[paths[0] as usize].access.shapes.push(at as u32);
            at
        });
        let shape = &mut self.shapes.all[at];
        shape.filed = if more { shape.filed + 1 } else { shape.filed - 1 };
        if shape.filed == 0 {
            for path in paths {
                self.paths.nodes[*path as usize].access.shaped -= 1;
            }
            self.paths.nodes[paths[0] as usize].access.shapes.retain(|shape| *shape != at as u32);
        }
    }

    /// Files members of a bucket elsewhere, if what is known now says so.
    pub(super) fn review(&mut self, hash: u64) {
        let members = self.buckets.members(hash);
        let count = f64::from(self.buckets.count(hash));
        for (rule, conjunction) in members {
            self.refile(rule, conjunction, |plan| plan.cost * 1.5 < count);
        }
        self.buckets.reviewed(hash);
    }

    pub(super) fn review_all(&mut self) {
        for rule in 0..self.rules.len() {
            let mut conjunctions: Vec<u16> = self.rules[rule].filings.iter().map(Filing::conjunction).collect();
            conjunctions.dedup();
            for conjunction in conjunctions {
                self.refile(rule as RuleHandle, conjunction, |_| true);
            }
        }
    }

    /// Files a conjunction anew if the best plan is a new one and `better`.
    fn refile(&mut self, rule: RuleHandle, conjunction: u16, better: impl Fn(&Plan) -> bool) {
        let of = |filing: &&Filing| filing.conjunction() == conjunction;
        let filings: SmallVec<[Filing; 1]> = self.rules[rule as usize].filings.iter().filter(of).copied().collect();
        let Some(body) = filings.first().and_then(|filing| self.body_of(rule, filing)) else { return };
        let plan = self.planner().plan(&body);
        let same = |(filing, place): (&Filing, &Place)| match (filing, place) {
            (Filing::Bucket { hash, .. }, Place::Bucket { hash: new, .. }) => hash == new,
            (Filing::Range { path, .. }, Place::Range { path: new, .. }) => path == new,
            _ => false,
        };
        if (filings.len() == plan.places.len() && filings.iter().zip(&plan.places).all(same)) || !better(&plan) {
            return;
        }
        self.unfile(rule, conjunction);
        self.file(rule, conjunction, &body, plan, &mut Vec::new());
    }

    fn body_of(&self, rule: RuleHandle, filing: &Filing) -> Option<Vec<u8>> {
        let record = match filing {
            Filing::Bucket { hash, segment, conjunction } => {
                self.buckets.record(Spot { hash: *hash, segment: *segment }, rule, *conjunction)?
            }
            Filing::Range { path, id, .. } => {
                let ranges = self.paths.nodes[*path as usize].access.ranges.as_ref()?;
                Record::read(&mut Cursor::new(ranges.record(*id)))
            }
        };
        Some(self.buckets.body(&record).to_vec())
    }
}
