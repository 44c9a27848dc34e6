//! The Modbus device of a script: registers that stay as they are until the adapter changes them, or a conversation in which each
//! call has its answer, as it was recorded.

use super::case::{ModbusAnswer, Written};
use super::outcome::fault;
use super::transports::{Diary, unscripted};
use async_trait::async_trait;
use bulkhead_sandbox::capability as host;
use host::{Change, Fault, Remedy, Span, SpanFault, Table, Words};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Words by table (0 coils, 1 discrete inputs, 2 input registers, 3 holding registers) and address.
type Bank = BTreeMap<(u8, u16), u16>;

fn fill(bank: &mut Bank, table: u8, rows: &BTreeMap<String, Vec<u16>>) {
    for (start, words) in rows {
        let start: u16 = start.parse().unwrap_or(0);
        bank.extend(words.iter().zip(start..).map(|(word, address)| ((table, address), *word)));
    }
}

fn number(table: Table) -> (u8, &'static str) {
    match table {
        Table::Coil => (0, "coil"),
        Table::DiscreteInput => (1, "discrete-input"),
        Table::InputRegister => (2, "input-register"),
        Table::HoldingRegister => (3, "holding-register"),
    }
}

/// A device with registers, as the script's tables have them. An address that is not there is a fault.
pub(super) struct Registers {
    role: String,
    words: Mutex<Bank>,
    diary: Arc<Diary>,
}

impl Registers {
    /// Tables in the order coils, discrete inputs, input registers, holding registers.
    pub(super) fn new(role: &str, tables: [&BTreeMap<String, Vec<u16>>; 4], diary: Arc<Diary>) -> Self {
        let mut words = Bank::new();
        for (table, rows) in (0u8..).zip(tables) {
            fill(&mut words, table, rows);
        }
        Self { role: role.to_owned(), words: Mutex::new(words), diary }
    }
}

#[async_trait]
impl host::Modbus for Registers {
    async fn read(&self, spans: Vec<Span>) -> Result<Words, Fault> {
        let bank = self.words.lock();
        let mut read = Words { words: Vec::new(), faults: Vec::new() };
        let mut told = Vec::new();
        for (index, span) in (0u32..).zip(&spans) {
            let (table, name) = number(span.table);
            told.push(span_name(span));
            let words = (0..span.count).map(|offset| bank.get(&(table, span.address.wrapping_add(offset))).copied());
            if words.clone().any(|word| word.is_none()) {
                let message = format!("the script has no {name} at some of {}", told.last().map_or("", String::as_str));
                read.faults
                    .push(SpanFault { index, fault: Fault::new(Remedy::Reject, "illegal-data-address", message) });
            }
            read.words.extend(words.map(Option::unwrap_or_default));
        }
        self.diary.note(json!({ "modbus-read": self.role, "spans": told }));
        Ok(read)
    }

    async fn write(&self, changes: Vec<Change>) -> Vec<Result<(), Fault>> {
        let mut bank = self.words.lock();
        let write = |change: Change| {
            let (table, name) = number(change.table);
            let told = json!({ "modbus-write": self.role, "from": format!("{name}:{}", change.address), "words": change.words });
            self.diary.note(told);
            bank.extend(change.words.iter().zip(change.address..).map(|(word, address)| ((table, address), *word)));
            Ok(())
        };
        changes.into_iter().map(write).collect()
    }
}

/// Such as `holding-register:100-101`: first and last address.
fn span_name(span: &Span) -> String {
    let last = u32::from(span.address) + u32::from(span.count.max(1)) - 1;
    format!("{}:{}-{last}", number(span.table).1, span.address)
}

fn written(changes: &[Change]) -> Vec<Written> {
    let told = |change: &Change| {
        let from = format!("{}:{}", number(change.table).1, change.address);
        Written { from, words: change.words.clone() }
    };
    changes.iter().map(told).collect()
}

/// A device that answers call after call what the script says.
pub(super) struct Conversation {
    role: String,
    answers: Mutex<VecDeque<ModbusAnswer>>,
    diary: Arc<Diary>,
}

impl Conversation {
    pub(super) fn new(role: &str, answers: &[ModbusAnswer], diary: Arc<Diary>) -> Self {
        Self { role: role.to_owned(), answers: Mutex::new(answers.iter().cloned().collect()), diary }
    }

    /// The next answer, if it is one to this call.
    fn next(&self, done: &str, fits: impl FnOnce(&ModbusAnswer) -> bool) -> Result<ModbusAnswer, Fault> {
        let mut answers = self.answers.lock();
        if answers.front().is_some_and(fits)
            && let Some(answer) = answers.pop_front()
        {
            return match &answer.fault {
                Some(fault) => Err(fault.fault()),
                None => Ok(answer),
            };
        }
        Err(unscripted(done, answers.front().map(ModbusAnswer::call)))
    }
}

impl ModbusAnswer {
    /// The call it answers, in words.
    fn call(&self) -> String {
        match (&self.write, &self.read) {
            (Some(changes), _) => format!("a write of {}", changes_name(changes)),
            (None, Some(spans)) => format!("a read of {}", spans.join(", ")),
            (None, None) => "a read".to_owned(),
        }
    }
}

fn changes_name(changes: &[Written]) -> String {
    changes.iter().map(|change| format!("{:?} from {}", change.words, change.from)).collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl host::Modbus for Conversation {
    async fn read(&self, spans: Vec<Span>) -> Result<Words, Fault> {
        let asked: Vec<String> = spans.iter().map(span_name).collect();
        let done = format!("the adapter read {} of {}", asked.join(", "), self.role);
        let fits = |next: &ModbusAnswer| next.write.is_none() && next.read.as_ref().is_none_or(|read| *read == asked);
        let answer = self.next(&done, fits);
        let told = match &answer {
            Ok(answer) => json!({ "words": answer.words }),
            Err(reported) => fault(reported),
        };
        self.diary.note(json!({ "modbus-read": self.role, "spans": asked, "answer": told }));
        let answer = answer?;
        let mut words = answer.words;
        // A device never answers less than it was asked for; what a script leaves out is 0.
        words.resize(spans.iter().map(|span| usize::from(span.count)).sum(), 0);
        let faults = answer.faults.iter().map(|one| SpanFault { index: one.index, fault: one.fault.fault() }).collect();
        Ok(Words { words, faults })
    }

    async fn write(&self, changes: Vec<Change>) -> Vec<Result<(), Fault>> {
        let asked = written(&changes);
        let done = format!("the adapter wrote {} to {}", changes_name(&asked), self.role);
        let answer = self.next(&done, |next| next.write.as_ref() == Some(&asked));
        let told = match &answer {
            Ok(answer) => json!({ "faults": answer.faults.iter().map(|one| one.index).collect::<Vec<_>>() }),
            Err(reported) => fault(reported),
        };
        let shown: Vec<_> = asked.iter().map(|one| json!({ "from": one.from, "words": one.words })).collect();
        self.diary.note(json!({ "modbus-write": self.role, "changes": shown, "answer": told }));
        let outcome = |index: u32| match &answer {
            Err(fault) => Err(fault.clone()),
            Ok(answer) => {
                answer.faults.iter().find(|one| one.index == index).map_or(Ok(()), |one| Err(one.fault.fault()))
            }
        };
        (0u32..).zip(&changes).map(|(index, _)| outcome(index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_sandbox::capability::Modbus;

    fn device(answers: &str) -> Conversation {
        #[derive(serde::Deserialize)]
        struct Answers {
            answers: Vec<ModbusAnswer>,
        }
        let parsed: Answers = toml::from_str(answers).unwrap();
        Conversation::new("device", &parsed.answers, Arc::default())
    }

    fn span(address: u16, count: u16) -> Span {
        Span { table: Table::HoldingRegister, address, count }
    }

    #[tokio::test]
    async fn each_call_gets_its_answer_and_a_call_that_is_another_is_named() {
        let device = device(
            r#"answers = [
              { read = ["holding-register:100-101"], words = [615, 7] },
              { read = ["holding-register:100-101"], fault = { code = "timeout", message = "no answer" } },
              { read = ["holding-register:5-5"], faults = [{ index = 0, code = "illegal-data-address", remedy = "reject" }] },
              { write = [{ from = "holding-register:100", words = [1] }] },
            ]"#,
        );
        assert_eq!(device.read(vec![span(100, 2)]).await.unwrap().words, [615, 7]);
        assert_eq!(device.read(vec![span(100, 2)]).await.unwrap_err().code, "timeout");
        let failed = device.read(vec![span(5, 1)]).await.unwrap();
        assert_eq!((failed.words, failed.faults[0].fault.remedy), (vec![0], Remedy::Reject));
        let change = |word| vec![Change { table: Table::HoldingRegister, address: 100, words: vec![word] }];
        let strayed = device.write(change(2)).await.remove(0).unwrap_err();
        let expected = "the adapter wrote [2] from holding-register:100 to device, and the script expects a write of [1] \
                        from holding-register:100 here";
        assert_eq!((strayed.code.as_str(), strayed.message.as_str()), ("not-in-the-script", expected));
        assert_eq!(device.write(change(1)).await, [Ok(())]);
        let behind = device.read(vec![span(1, 1)]).await.unwrap_err();
        assert!(behind.message.ends_with("the script expects no further call here"), "{}", behind.message);
    }
}
