//! Where a conjunction is filed: under the condition, or the few values together, that the fewest other rules share.
//!
//! Every condition is a way to find its rule, one key per alternative; equalities may be joined into one key. The cost
//! of a way is about the number of rules that an event has to be checked against because of it. It is estimated from
//! what is known now: how often a value is compared with, how full a bucket is. Rules that came early are filed again
//! when their bucket fills up.

use smallvec::SmallVec;

use super::access::{GRAMS, TIERS, gram_number, tag, tier};
use super::buckets::Buckets;
use super::packed::{Condition, Cursor, PackedAlternative, PathId, conditions, end, op};
use super::paths::Paths;
use super::ranges::Bounds;
use super::statistics::Statistics;
use super::{Class, hash};
use crate::pattern::fold;

/// A bucket of so many rules is small: no further value is joined to its key.
const SMALL: f64 = 4.0;
/// Keys that one conjunction is filed under, where values of several fields are joined.
const MAX_JOINED: usize = 16;
/// Fields of a joined key.
const MAX_PARTS: usize = 6;
/// Combinations of paths that keys are made of; each costs every event a probe.
const MAX_SHAPES: usize = 64;
/// Grams of one wildcard that are looked at.
const MAX_GRAMS: usize = 64;

/// Where one record goes.
#[derive(Clone, Debug)]
pub enum Place {
    Bucket { hash: u64, key: Vec<u8>, known: u32 },
    Range { path: PathId, bounds: Bounds },
}

/// Where a conjunction goes.
#[derive(Debug)]
pub struct Plan {
    pub places: Vec<Place>,
    pub cost: f64,
    pub class: Class,
}

/// What an estimate is made from.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'i> {
    pub paths: &'i Paths,
    pub buckets: &'i Buckets,
    pub statistics: &'i Statistics,
    pub shapes: &'i Shapes,
}

/// The combinations of two and more paths that keys are made of.
#[derive(Debug, Default)]
pub struct Shapes {
    pub all: Vec<Shape>,
}

#[derive(Debug)]
pub struct Shape {
    /// Ascending.
    pub paths: SmallVec<[PathId; MAX_PARTS]>,
    /// Records filed under it; none: its place is free.
    pub filed: u32,
}

impl Shapes {
    pub fn position(&self, paths: &[PathId]) -> Option<usize> {
        self.all.iter().position(|shape| shape.filed > 0 && *shape.paths == *paths)
    }

    fn live(&self) -> usize {
        self.all.iter().filter(|shape| shape.filed > 0).count()
    }
}

/// A condition all of whose alternatives are equalities.
struct Equality<'b> {
    /// Which condition of the body.
    index: usize,
    condition: Condition<'b>,
    count: usize,
    /// How many rules, about, compare this path with one of the values.
    rules: f64,
}

impl Planner<'_> {
    /// The cheapest way to file a body.
    pub fn plan(&self, body: &[u8]) -> Plan {
        let mut best: Option<Plan> = None;
        let mut equalities: Vec<Equality<'_>> = Vec::new();
        for (index, condition) in conditions(body).enumerate() {
            let all_equal = condition.alternatives().all(|a| a.op <= op::LAST_EQUALITY);
            if all_equal {
                let rules = condition.alternatives().map(|a| self.rules_with(condition.path, &a)).sum();
                equalities.push(Equality { index, condition, count: condition.alternatives().count(), rules });
            } else {
                let plan = self.single(index, &condition);
                if best.as_ref().is_none_or(|best| plan.cost < best.cost) {
                    best = Some(plan);
                }
            }
        }
        equalities.sort_by(|a, b| a.rules.total_cmp(&b.rules));
        let joined = (!equalities.is_empty()).then(|| self.joined(&equalities));
        match (best, joined) {
            (Some(best), Some(joined)) => {
                if best.cost < joined.cost {
                    best
                } else {
                    joined
                }
            }
            (best, joined) => best.or(joined).expect("a conjunction has a condition"),
        }
    }

    /// How many rules compare a path with a value, about: a rare value of a path with few of them is not as rare.
    fn rules_with(&self, path: PathId, alternative: &PackedAlternative<'_>) -> f64 {
        let access = &self.paths.nodes[path as usize].access;
        let count = f64::from(self.statistics.count(hash::part(0, path, hash::value(alternative))));
        let average = f64::from(access.comparisons) / f64::from(access.values.max(1));
        if average > count { (count * average).sqrt() } else { count }
    }

    /// A key of as few equalities as make a small bucket, the rarest first.
    fn joined(&self, equalities: &[Equality<'_>]) -> Plan {
        let rules = f64::from(self.statistics.conjunctions.max(1));
        let mut chosen: Vec<&Equality<'_>> = vec![&equalities[0]];
        let (mut keys, mut cost) = (equalities[0].count, equalities[0].rules);
        for equality in &equalities[1..] {
            let joined = cost * equality.rules / rules;
            let fresh = chosen.iter().all(|e| e.condition.path != equality.condition.path);
            let worth = fresh && cost > SMALL && joined < cost * 0.7 && chosen.len() < MAX_PARTS;
            if worth && keys * equality.count <= MAX_JOINED {
                chosen.push(equality);
                (keys, cost) = (keys * equality.count, joined);
            }
        }
        if chosen.len() > 1 {
            (chosen, cost) = self.in_use(equalities, chosen, cost);
        }
        chosen.sort_by_key(|equality| equality.condition.path);
        let mut places = Vec::new();
        let known = chosen.iter().filter(|e| e.index < 32).fold(0, |known, e| known | 1 << e.index);
        combine(&chosen, 0, &mut vec![tag::EQUAL], known, &mut places);
        Plan { places, cost: cost.max(1.0), class: Class::Keyed }
    }

    /// A combination of paths that is in use and about as good: every further one costs each event a probe.
    fn in_use<'e, 'b>(
        &self,
        equalities: &'e [Equality<'b>],
        chosen: Vec<&'e Equality<'b>>,
        cost: f64,
    ) -> (Vec<&'e Equality<'b>>, f64) {
        let rules = f64::from(self.statistics.conjunctions.max(1));
        let mut paths: Vec<PathId> = chosen.iter().map(|e| e.condition.path).collect();
        paths.sort_unstable();
        if self.shapes.position(&paths).is_some() {
            return (chosen, cost);
        }
        let mut best: Option<(Vec<&Equality<'_>>, f64)> = None;
        for shape in self.shapes.all.iter().filter(|shape| shape.filed > 0) {
            let of = |path: &PathId| equalities.iter().find(|e| e.condition.path == *path);
            let Some(parts) = shape.paths.iter().map(of).collect::<Option<Vec<_>>>() else { continue };
            let cost = parts.iter().fold(rules, |cost, part| cost * part.rules / rules);
            let keys: usize = parts.iter().map(|part| part.count).product();
            if keys <= MAX_JOINED && best.as_ref().is_none_or(|(_, least)| cost < *least) {
                best = Some((parts, cost));
            }
        }
        let full = self.shapes.live() >= MAX_SHAPES;
        match best {
            Some((parts, least)) if full && least < chosen[0].rules => (parts, least),
            Some((parts, least)) if !full && least <= (cost * 1.5).max(SMALL) => (parts, least),
            _ if full => (vec![&equalities[0]], equalities[0].rules),
            _ => (chosen, cost),
        }
    }

    /// One key for each alternative of a condition.
    fn single(&self, index: usize, condition: &Condition<'_>) -> Plan {
        let mut plan = Plan { places: Vec::new(), cost: 0.0, class: Class::Keyed };
        for alternative in condition.alternatives() {
            let (place, cost, class) = self.way(index, condition.path, &alternative);
            plan.places.push(place);
            plan.cost += cost;
            plan.class = plan.class.max(class);
        }
        plan
    }

    fn way(&self, index: usize, path: PathId, alternative: &PackedAlternative<'_>) -> (Place, f64, Class) {
        let mut operands = alternative.operands;
        match alternative.op {
            ..=op::LAST_EQUALITY => {
                let key = [&[tag::EQUAL][..], &path.to_le_bytes(), alternative.whole].concat();
                let hash = hash::part(0, path, hash::value(alternative));
                let known = if index < 32 { 1 << index } else { 0 };
                (Place::Bucket { hash, key, known }, self.rules_with(path, alternative), Class::Keyed)
            }
            op::RANGE => self.range(path, operands),
            op::CIDR => {
                let [v6, length] = operands.array();
                let network: [u8; 16] = operands.array();
                let detail = [&[length][..], &network].concat();
                self.text(if v6 == 1 { tag::V6 } else { tag::V4 }, path, &detail, if length >= 12 { 4.0 } else { 50.0 })
            }
            op::EQUALS_ANY_CASE => self.text(tag::FOLDED, path, folded(operands.text()).as_bytes(), 1.0),
            op::PREFIX => self.affix(path, operands.bytes(), false, tag::PREFIX),
            op::SUFFIX => self.affix(path, operands.bytes(), true, tag::SUFFIX),
            op::PREFIX_ANY_CASE => self.affix(path, folded(operands.text()).as_bytes(), false, tag::FOLDED_PREFIX),
            op::SUFFIX_ANY_CASE => self.affix(path, folded(operands.text()).as_bytes(), true, tag::FOLDED_SUFFIX),
            op::WILDCARD => self.wildcard(path, Cursor::new(operands.bytes())),
            op::ABSENT => self.listed(tag::ABSENT, path, Class::Complement),
            _ => self.listed(tag::PRESENT, path, Class::Complement),
        }
    }

    /// A list that every event with, or without, a leaf at the path goes through.
    fn listed(&self, tag: u8, path: PathId, class: Class) -> (Place, f64, Class) {
        let (place, count) = self.bucket(tag, path, &[]);
        (place, 1000.0 + count, class)
    }

    fn bucket(&self, tag: u8, path: PathId, detail: &[u8]) -> (Place, f64) {
        let hash = match tag {
            tag::GRAM..=tag::LAST_GRAM => hash::tagged(tag, path, gram_number(detail)),
            _ => hash::tagged(tag, path, hash::text(detail)),
        };
        let key = [&[tag][..], &path.to_le_bytes(), detail].concat();
        (Place::Bucket { hash, key, known: 0 }, f64::from(self.buckets.count(hash)))
    }

    /// A key that is worse by a factor than a value: it is more often found in vain.
    fn text(&self, tag: u8, path: PathId, detail: &[u8], factor: f64) -> (Place, f64, Class) {
        let (place, count) = self.bucket(tag, path, detail);
        (place, factor * (2.0 + count), Class::Text)
    }

    fn affix(&self, path: PathId, text: &[u8], at_end: bool, tag: u8) -> (Place, f64, Class) {
        if text.is_empty() {
            return self.listed(tag::PRESENT, path, Class::Scan);
        }
        let length = TIERS[tier(text.len())];
        let detail = if at_end { &text[text.len() - length..] } else { &text[..length] };
        let (place, cost, class) = self.text(tag, path, detail, if length >= 3 { 2.0 } else { 40.0 });
        (place, cost, if length == 1 { Class::Scan } else { class })
    }

    /// By its beginning, its end, or the rarest bytes that it needs.
    fn wildcard(&self, path: PathId, mut parts: Cursor<'_>) -> (Place, f64, Class) {
        let mut literals: Vec<&[u8]> = Vec::new();
        while !parts.is_empty() {
            literals.push(parts.bytes());
        }
        let (first, last) = (literals[0], literals[literals.len() - 1]);
        let mut best = self.affix(path, first, false, tag::PREFIX);
        let end = self.affix(path, last, true, tag::SUFFIX);
        if end.1 < best.1 {
            best = end;
        }
        let longest = literals.iter().map(|literal| literal.len()).max().unwrap_or(0);
        let Some(kind) = GRAMS.iter().rposition(|gram| *gram <= longest) else { return best };
        let factor = [200.0, 40.0, 4.0, 2.0, 1.5, 1.2][kind];
        for gram in literals.iter().flat_map(|literal| literal.windows(GRAMS[kind])).take(MAX_GRAMS) {
            let (place, cost, class) = self.text(tag::GRAM + kind as u8, path, gram, factor);
            if cost < best.1 {
                best = (place, cost, if GRAMS[kind] < 3 { Class::Scan } else { class });
            }
        }
        best
    }

    fn range(&self, path: PathId, mut operands: Cursor<'_>) -> (Place, f64, Class) {
        let flags = operands.u8();
        let lower = (flags & end::LOWER != 0).then(|| operands.number().0);
        let upper = (flags & end::UPPER != 0).then(|| operands.number().0);
        let access = &self.paths.nodes[path as usize].access;
        let (all, two_sided) = access.ranges.as_ref().map_or((0, 0), |r| (r.len(), r.two_sided()));
        let cost = match (lower, upper) {
            (Some(_), Some(_)) => 10.0 + two_sided as f64 / 16.0,
            _ => 20.0 + (all - two_sided) as f64 / 3.0,
        };
        (Place::Range { path, bounds: Bounds { lower, upper } }, cost, Class::Range)
    }
}

/// All combinations of one value of each condition.
fn combine(chosen: &[&Equality<'_>], hash: u64, key: &mut Vec<u8>, known: u32, to: &mut Vec<Place>) {
    let Some((first, rest)) = chosen.split_first() else {
        to.push(Place::Bucket { hash, key: key.clone(), known });
        return;
    };
    let path = first.condition.path;
    for alternative in first.condition.alternatives() {
        let length = key.len();
        key.extend_from_slice(&path.to_le_bytes());
        key.extend_from_slice(alternative.whole);
        combine(rest, hash::part(hash, path, hash::value(&alternative)), key, known, to);
        key.truncate(length);
    }
}

pub fn folded(text: &str) -> String {
    text.chars().map(fold).collect()
}
