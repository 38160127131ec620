//! What instructions do to the machine's stack, and the guards of it: an empty stack, a missing mark,
//! more values than memory.

use super::Machine;
use crate::checkpoint::error::{Checked, refuse};
use crate::checkpoint::value::{Id, Node};

/// More values than any checkpoint has (a SAM 2 file has some thousands), few enough to fit in
/// memory.
const MAX_VALUES: usize = 20_000_000;

impl Machine<'_> {
    pub(super) fn push(&mut self, node: Node) -> Checked<()> {
        if self.arena.nodes.len() >= MAX_VALUES {
            return refuse(format!("a pickle of at most {MAX_VALUES} values"), "more");
        }
        self.stack.push(self.arena.nodes.len() as Id);
        self.arena.nodes.push(node);
        Ok(())
    }

    pub(super) fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn top(&self) -> Checked<Id> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => refuse("a value on the stack", "an empty stack"),
        }
    }

    pub(super) fn pop(&mut self) -> Checked<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    pub(super) fn pop_value_or_mark(&mut self) -> Checked<()> {
        if self.stack.len() == self.floor() && self.marks.pop().is_some() {
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    pub(super) fn pop_many(&mut self, n: usize) -> Checked<Vec<Id>> {
        if self.stack.len() < self.floor() + n {
            return refuse(
                format!("{n} values on the stack"),
                format!("{}", self.stack.len() - self.floor()),
            );
        }
        Ok(self.stack.split_off(self.stack.len() - n))
    }

    pub(super) fn pop_to_mark(&mut self) -> Checked<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => refuse("a mark on the stack", "none"),
        }
    }

    pub(super) fn extend_list(&mut self, items: &[Id]) -> Checked<()> {
        let top = self.top()?;
        match &mut self.arena.nodes[top as usize] {
            Node::List(list) => list.extend_from_slice(items),
            // A subclass of list that is never made: its items are not needed.
            Node::Object(_) => {}
            _ => return refuse("a list to append to", self.arena.describe(top)),
        }
        Ok(())
    }

    pub(super) fn extend_dict(&mut self, items: &[Id]) -> Checked<()> {
        let new = pairs(items)?;
        let top = self.top()?;
        match &mut self.arena.nodes[top as usize] {
            Node::Dict(entries) => entries.extend(new),
            Node::Object(_) => {}
            _ => return refuse("a dict to add to", self.arena.describe(top)),
        }
        Ok(())
    }
}

/// Items of a dict, key and value in turn.
pub(super) fn pairs(items: &[Id]) -> Checked<Vec<(Id, Id)>> {
    if !items.len().is_multiple_of(2) {
        return refuse("keys with values", "a key without a value");
    }
    Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
