//! From spans to few read requests, and from their answers back to words in the order asked. Pure.
//!
//! Spans are sorted by table and address and merged while at most `gap_fill` unused registers lie between them and the
//! request stays within what one answer carries. A span is never split between two requests, so a value of several
//! registers is read whole. Gaps are read and thrown away: they may lie outside of what the adapter asked for, never
//! outside of the range between two spans it did ask for, and never outside of what may be read.

use super::grant::ReadGrant;
use bulkhead_sandbox::capability::{Span, Table};

/// Most registers in one read (Modbus Application Protocol V1.1b3 §6.3, §6.4).
pub(crate) const REGISTERS_MAX: u16 = 125;
/// Most bits in one read (§6.1, §6.2).
pub(crate) const BITS_MAX: u16 = 2000;

/// What a device takes in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most unused registers, or bits, between two merged spans.
    pub(crate) gap_fill: u16,
    /// Most registers in one request, 1 to 125.
    pub(crate) max_registers: u16,
    /// Most bits in one request, 1 to 2000.
    pub(crate) max_bits: u16,
}

impl Limits {
    fn max(self, table: Table) -> u16 {
        if is_bits(table) { self.max_bits.clamp(1, BITS_MAX) } else { self.max_registers.clamp(1, REGISTERS_MAX) }
    }
}

/// Whether a table holds bits.
pub(crate) fn is_bits(table: Table) -> bool {
    matches!(table, Table::Coil | Table::DiscreteInput)
}

/// One read request and which spans it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) table: Table,
    pub(crate) address: u16,
    pub(crate) count: u16,
    /// Indexes of its spans, by rising address.
    pub(crate) spans: Vec<u32>,
    /// Whether it reads registers nobody asked for.
    pub(crate) gaps: bool,
    /// Where its words go; neighbours that stay neighbours are one copy.
    copies: Vec<Copy>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Copy {
    from: usize,
    to: usize,
    count: usize,
}

/// Why a span cannot be asked for at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has no registers.
    Empty,
    /// It goes beyond address 65535.
    PastEnd,
    /// It is not, or not as a whole, in what may be read.
    NotGranted,
    /// It is longer than one request carries: at most this many.
    TooLong(u16),
}

/// All requests for a list of spans.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    pub(crate) requests: Vec<Request>,
    /// Spans that cannot be asked for, by rising index.
    pub(crate) refused: Vec<(u32, Refusal)>,
    /// Words of all spans together.
    pub(crate) words: usize,
}

/// Makes the plan for a list of spans.
pub(crate) fn plan(spans: &[Span], limits: Limits, grant: &ReadGrant) -> Plan {
    let mut plan = Plan::default();
    let mut order: Vec<u32> = Vec::with_capacity(spans.len());
    for (index, span) in (0u32..).zip(spans) {
        plan.words += usize::from(span.count);
        match refusal(span, limits, grant) {
            Some(refusal) => plan.refused.push((index, refusal)),
            None => order.push(index),
        }
    }
    order.sort_by_key(|&index| {
        let span = &spans[index as usize];
        (table_number(span.table), span.address, span.count)
    });
    let offsets = offsets(spans);
    plan.requests = group(spans, &offsets, &order, limits, grant);
    plan
}

/// The smaller requests to try when a device refuses one: first without the registers nobody asked for, then halves,
/// down to single spans. None: it is a single span, which the device does not have.
pub(crate) fn split(request: &Request, spans: &[Span], limits: Limits) -> Option<Vec<Request>> {
    if request.spans.len() < 2 {
        return None;
    }
    let offsets = offsets(spans);
    if request.gaps {
        let without_gaps = Limits { gap_fill: 0, ..limits };
        // Without gaps, what was granted together stays so.
        return Some(group(spans, &offsets, &request.spans, without_gaps, &ReadGrant::default()));
    }
    let (left, right) = request.spans.split_at(request.spans.len() / 2);
    Some(vec![build(spans, &offsets, left), build(spans, &offsets, right)])
}

impl Request {
    /// Puts an answer's words where the spans want them. `answer` holds `count` words, `words` all words of the plan.
    pub(crate) fn scatter(&self, answer: &[u16], words: &mut [u16]) {
        for copy in &self.copies {
            words[copy.to..copy.to + copy.count].copy_from_slice(&answer[copy.from..copy.from + copy.count]);
        }
    }
}

fn refusal(span: &Span, limits: Limits, grant: &ReadGrant) -> Option<Refusal> {
    let max = limits.max(span.table);
    match span.count {
        0 => Some(Refusal::Empty),
        count if count > max => Some(Refusal::TooLong(max)),
        count if u32::from(span.address) + u32::from(count) > 0x1_0000 => Some(Refusal::PastEnd),
        _ if !grant.allows(span.table, span.address.into(), end(span)) => Some(Refusal::NotGranted),
        _ => None,
    }
}

fn table_number(table: Table) -> u8 {
    match table {
        Table::Coil => 0,
        Table::DiscreteInput => 1,
        Table::InputRegister => 2,
        Table::HoldingRegister => 3,
    }
}

/// Where each span's words begin among all words.
fn offsets(spans: &[Span]) -> Vec<usize> {
    let mut next = 0;
    let offset = |span: &Span| {
        let offset = next;
        next += usize::from(span.count);
        offset
    };
    spans.iter().map(offset).collect()
}

fn end(span: &Span) -> u32 {
    u32::from(span.address) + u32::from(span.count)
}

/// Cuts sorted spans into runs that each fit one request.
fn group(spans: &[Span], offsets: &[usize], order: &[u32], limits: Limits, grant: &ReadGrant) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut first = 0;
    let mut reach = 0;
    for (position, &index) in order.iter().enumerate() {
        let span = &spans[index as usize];
        if position > first {
            let start = &spans[order[first] as usize];
            let fits = span.table == start.table
                && u32::from(span.address) <= reach + u32::from(limits.gap_fill)
                && end(span).max(reach) - u32::from(start.address) <= u32::from(limits.max(span.table))
                && grant.allows(span.table, start.address.into(), end(span).max(reach));
            if !fits {
                requests.push(build(spans, offsets, &order[first..position]));
                first = position;
                reach = 0;
            }
        }
        reach = reach.max(end(span));
    }
    if first < order.len() {
        requests.push(build(spans, offsets, &order[first..]));
    }
    requests
}

/// One request for a run of sorted spans of one table; the run is not empty and fits.
fn build(spans: &[Span], offsets: &[usize], run: &[u32]) -> Request {
    let start = &spans[run[0] as usize];
    let (mut reach, mut gaps) = (u32::from(start.address), false);
    let mut copies: Vec<Copy> = Vec::new();
    for &index in run {
        let span = &spans[index as usize];
        gaps |= u32::from(span.address) > reach;
        reach = reach.max(end(span));
        let next = Copy {
            from: usize::from(span.address - start.address),
            to: offsets[index as usize],
            count: usize::from(span.count),
        };
        match copies.last_mut() {
            Some(last) if last.from + last.count == next.from && last.to + last.count == next.to => {
                last.count += next.count;
            }
            _ => copies.push(next),
        }
    }
    let count = u16::try_from(reach - u32::from(start.address)).expect("a run fits one request");
    Request { table: start.table, address: start.address, count, spans: run.to_vec(), gaps, copies }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { gap_fill: 8, max_registers: 125, max_bits: 2000 };

    fn holding(address: u16, count: u16) -> Span {
        Span { table: Table::HoldingRegister, address, count }
    }

    #[test]
    fn a_thousand_neighbours_are_eight_requests_of_one_copy_each() {
        let spans: Vec<Span> = (0..1000).map(|address| holding(address, 1)).collect();
        let plan = plan(&spans, LIMITS, &ReadGrant::default());
        assert_eq!(plan.requests.len(), 8);
        assert!(plan.requests.iter().all(|request| request.copies.len() == 1 && !request.gaps));
    }

    #[test]
    fn gaps_are_filled_up_to_the_bound_and_values_are_not_split() {
        let spans = [holding(0, 2), holding(10, 2), holding(21, 4), holding(124, 4)];
        let requests: Vec<_> = plan(&spans, LIMITS, &ReadGrant::default())
            .requests
            .iter()
            .map(|request| (request.address, request.count, request.gaps))
            .collect();
        assert_eq!(requests, [(0, 12, true), (21, 4, false), (124, 4, false)]);
        let edge = plan(&[holding(0, 124), holding(124, 2)], LIMITS, &ReadGrant::default());
        assert_eq!(edge.requests.len(), 2, "the second span would be split");
    }

    #[test]
    fn a_gap_that_may_not_be_read_is_not_bridged() {
        let grant = ReadGrant::parse(Some(&["holding-register:0-4".into(), "holding-register:6-9".into()])).unwrap();
        let plan = plan(&[holding(0, 2), holding(3, 2), holding(6, 2), holding(4, 2)], LIMITS, &grant);
        let requests: Vec<_> = plan.requests.iter().map(|request| (request.address, request.count)).collect();
        assert_eq!(requests, [(0, 5), (6, 2)]);
        assert_eq!(plan.refused, [(3, Refusal::NotGranted)]);
    }

    #[test]
    fn what_no_request_can_carry_is_refused_by_index() {
        let spans = [holding(0, 126), holding(1, 0), holding(65535, 2), holding(65535, 1)];
        let plan = plan(&spans, LIMITS, &ReadGrant::default());
        assert_eq!(plan.refused, [(0, Refusal::TooLong(125)), (1, Refusal::Empty), (2, Refusal::PastEnd)]);
        assert_eq!(plan.requests.len(), 1);
    }

    #[test]
    fn a_refused_request_is_tried_without_gaps_then_in_halves_then_given_up() {
        let spans = [holding(0, 1), holding(1, 1), holding(5, 1)];
        let merged = plan(&spans, LIMITS, &ReadGrant::default()).requests.remove(0);
        let without_gaps = split(&merged, &spans, LIMITS).unwrap();
        assert_eq!(without_gaps.iter().map(|request| request.spans.clone()).collect::<Vec<_>>(), [vec![0, 1], vec![2]]);
        let halves = split(&without_gaps[0], &spans, LIMITS).unwrap();
        assert_eq!(halves.iter().map(|request| (request.address, request.count)).collect::<Vec<_>>(), [(0, 1), (1, 1)]);
        assert_eq!(split(&halves[0], &spans, LIMITS), None);
    }

    fn any_span() -> impl Strategy<Value = Span> {
        let table = prop_oneof![
            Just(Table::Coil),
            Just(Table::DiscreteInput),
            Just(Table::InputRegister),
            Just(Table::HoldingRegister)
        ];
        (table, prop_oneof![0u16..400, 65_400u16..=65_535], 0u16..140).prop_map(|(table, address, count)| Span {
            table,
            address,
            count,
        })
    }

    /// What a device answers: a word that tells table and address.
    fn word(table: Table, address: u16) -> u16 {
        address.wrapping_mul(7).wrapping_add(u16::from(table_number(table)).wrapping_mul(13))
    }

    fn answer(request: &Request) -> Vec<u16> {
        (0..request.count).map(|offset| word(request.table, request.address + offset)).collect()
    }

    /// Splits every request down to what cannot be split, or not at all.
    fn leaves(request: Request, spans: &[Span], limits: Limits, depth: u8) -> Vec<Request> {
        match split(&request, spans, limits) {
            Some(parts) if depth > 0 => {
                parts.into_iter().flat_map(|part| leaves(part, spans, limits, depth - 1)).collect()
            }
            _ => vec![request],
        }
    }

    proptest! {
        #[test]
        fn reading_merged_is_reading_each_span_alone(
            spans in prop::collection::vec(any_span(), 0..60),
            gap_fill in 0u16..20, max_registers in 1u16..=125, max_bits in 1u16..=2000, depth in 0u8..8,
            is_limited: bool, granted in prop::collection::vec((0usize..4, 0u16..400, 0u16..200), 0..8),
        ) {
            let limits = Limits { gap_fill, max_registers, max_bits };
            let ranges: Vec<String> = granted.iter().map(|(table, first, count)| {
                let name = ["coil", "discrete-input", "input-register", "holding-register"][*table];
                format!("{name}:{first}-{}", first + count)
            }).collect();
            let grant = ReadGrant::parse(is_limited.then_some(&ranges[..])).unwrap();
            let plan = plan(&spans, limits, &grant);
            let mut words = vec![u16::MAX; plan.words];
            let mut served = vec![0; spans.len()];
            let requests: Vec<Request> =
                plan.requests.iter().flat_map(|request| leaves(request.clone(), &spans, limits, depth)).collect();
            for request in &requests {
                prop_assert!(request.count >= 1 && request.count <= limits.max(request.table));
                let request_end = u32::from(request.address) + u32::from(request.count);
                prop_assert!(request_end <= 0x1_0000);
                prop_assert!(grant.allows(request.table, request.address.into(), request_end), "a read left its grant");
                request.scatter(&answer(request), &mut words);
                for &index in &request.spans {
                    let span = &spans[index as usize];
                    served[index as usize] += 1;
                    prop_assert!(span.address >= request.address);
                    prop_assert!(end(span) <= u32::from(request.address) + u32::from(request.count));
                }
            }
            for &(index, _) in &plan.refused {
                served[index as usize] += 1;
            }
            prop_assert!(served.iter().all(|&times| times == 1), "each span is served by one request or refused");
            let refused: Vec<u32> = plan.refused.iter().map(|&(index, _)| index).collect();
            for (index, (span, offset)) in spans.iter().zip(offsets(&spans)).enumerate() {
                if refused.contains(&u32::try_from(index).unwrap()) {
                    continue;
                }
                for step in 0..span.count {
                    prop_assert_eq!(words[offset + usize::from(step)], word(span.table, span.address + step));
                }
            }
        }
    }
}
