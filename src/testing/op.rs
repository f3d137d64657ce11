//! The operations that a program under the explorer is made of.

use std::fmt;
use std::panic::Location;

/// What a goroutine is about to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Op {
    Start,
    End,
    Join,
    IsFinished,
    ScopeEnd,
    Park,
    Unpark,
    Yield,
    Sleep,
    Blocking,
    MutexLock,
    MutexTryLock,
    MutexUnlock,
    RwLockRead,
    RwLockTryRead,
    RwLockWrite,
    RwLockTryWrite,
    RwLockUnlock,
    RwLockDowngrade,
    CondvarWait,
    CondvarNotify,
    Once,
    OnceWait,
    OnceGet,
    Barrier,
    WaitGroupAdd,
    WaitGroupDone,
    WaitGroupWait,
    Acquire,
    TryAcquire,
    Release,
    Available,
    Send,
    TrySend,
    Receive,
    TryReceive,
    CloseSenders,
    CloseReceivers,
    ChannelState,
    Select,
    SetClock,
    Cancel,
    ContextError,
    AfterFunc,
    Group,
    Pool,
    Load,
    Store,
    Modify,
    Fence,
    CellRead,
    CellWrite,
    Wait,
}

impl Op {
    /// Whether it leaves its object as it is: two such operations may be done in either order.
    pub(crate) fn only_reads(self) -> bool {
        matches!(
            self,
            Self::IsFinished | Self::OnceGet | Self::Available | Self::ChannelState | Self::Load | Self::CellRead
        )
    }

    /// Whether it touches nothing that another goroutine could touch.
    pub(crate) fn is_private(self) -> bool {
        matches!(self, Self::Start | Self::Sleep)
    }

    /// Whether nothing is known of what it touches; or, of a yield, whether it can be passed depends on all others.
    pub(crate) fn touches_anything(self) -> bool {
        matches!(
            self,
            Self::Yield
                | Self::Select
                | Self::Cancel
                | Self::ContextError
                | Self::AfterFunc
                | Self::Group
                | Self::Pool
                | Self::Fence
                | Self::Wait
                | Self::Blocking
        )
    }

    /// Ends, and waits for ends: who waits goes on from the same state, whether it came before the last end or after.
    pub(crate) fn is_end_or_its_wait(self) -> bool {
        matches!(self, Self::End | Self::Join | Self::ScopeEnd)
    }

    /// What kind of object it is about, for its name in a report.
    pub(crate) fn kind(self) -> Option<&'static str> {
        Some(match self {
            Self::MutexLock | Self::MutexTryLock | Self::MutexUnlock => "mutex",
            Self::RwLockRead
            | Self::RwLockTryRead
            | Self::RwLockWrite
            | Self::RwLockTryWrite
            | Self::RwLockUnlock
            | Self::RwLockDowngrade => "rwlock",
            Self::CondvarWait | Self::CondvarNotify => "condvar",
            Self::Once | Self::OnceWait | Self::OnceGet => "once",
            Self::Barrier => "barrier",
            Self::WaitGroupAdd | Self::WaitGroupDone | Self::WaitGroupWait => "wg",
            Self::Acquire | Self::TryAcquire | Self::Release | Self::Available => "sem",
            Self::Send
            | Self::TrySend
            | Self::Receive
            | Self::TryReceive
            | Self::CloseSenders
            | Self::CloseReceivers
            | Self::SetClock
            | Self::ChannelState => "chan",
            Self::Load | Self::Store | Self::Modify => "atomic",
            Self::CellRead | Self::CellWrite => "cell",
            _ => return None,
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "start",
            Self::End => "end",
            Self::Join => "join",
            Self::IsFinished => "is_finished",
            Self::ScopeEnd => "scope end",
            Self::Park => "park",
            Self::Unpark => "unpark",
            Self::Yield => "yield",
            Self::Sleep => "sleep",
            Self::Blocking => "blocking",
            Self::MutexLock => "lock",
            Self::MutexTryLock => "try_lock",
            Self::MutexUnlock => "unlock",
            Self::RwLockRead => "read",
            Self::RwLockTryRead => "try_read",
            Self::RwLockWrite => "write",
            Self::RwLockTryWrite => "try_write",
            Self::RwLockUnlock => "unlock",
            Self::RwLockDowngrade => "downgrade",
            Self::CondvarWait => "wait",
            Self::CondvarNotify => "notify",
            Self::Once => "call_once",
            Self::OnceWait => "wait",
            Self::OnceGet => "get",
            Self::Barrier => "wait",
            Self::WaitGroupAdd => "add",
            Self::WaitGroupDone => "done",
            Self::WaitGroupWait => "wait",
            Self::Acquire => "acquire",
            Self::TryAcquire => "try_acquire",
            Self::Release => "release",
            Self::Available => "available",
            Self::Send => "send",
            Self::TrySend => "try_send",
            Self::Receive => "recv",
            Self::TryReceive => "try_recv",
            Self::CloseSenders => "drop last sender",
            Self::CloseReceivers => "drop last receiver",
            Self::ChannelState => "look",
            Self::Select => "select",
            Self::SetClock => "set",
            Self::Cancel => "cancel",
            Self::ContextError => "context err",
            Self::AfterFunc => "after_func",
            Self::Group => "errgroup",
            Self::Pool => "pool",
            Self::Load => "load",
            Self::Store => "store",
            Self::Modify => "modify",
            Self::Fence => "fence",
            Self::CellRead => "read",
            Self::CellWrite => "write",
            Self::Wait => "testing::wait",
        })
    }
}

/// An operation and what it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) op: Op,
    /// The address of its object, and of another one that it touches; 0 if there is none.
    pub(crate) object: usize,
    pub(crate) other: usize,
    pub(crate) location: &'static Location<'static>,
}

impl At {
    /// Whether it makes no difference in which order this and `other` are done.
    pub(crate) fn is_independent_of(&self, other: &Self) -> bool {
        if self.op.is_private() || other.op.is_private() {
            return true;
        }
        if self.op.touches_anything() || other.op.touches_anything() {
            return false;
        }
        if self.op.is_end_or_its_wait() && other.op.is_end_or_its_wait() {
            return true;
        }
        let both_read = self.op.only_reads() && other.op.only_reads();
        let shares = |object: usize| object != 0 && (object == other.object || object == other.other);
        both_read || !(shares(self.object) || shares(self.other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(op: Op, object: usize, other: usize) -> At {
        At { op, object, other, location: Location::caller() }
    }

    #[test]
    fn operations_on_one_object_depend_on_each_other_unless_both_read() {
        assert!(at(Op::Load, 1, 0).is_independent_of(&at(Op::Load, 1, 0)));
        assert!(!at(Op::Load, 1, 0).is_independent_of(&at(Op::Store, 1, 0)));
        assert!(at(Op::MutexLock, 1, 0).is_independent_of(&at(Op::MutexLock, 2, 0)));
        assert!(!at(Op::CondvarWait, 1, 2).is_independent_of(&at(Op::MutexLock, 2, 0)));
        assert!(!at(Op::Select, 0, 0).is_independent_of(&at(Op::Load, 1, 0)));
        assert!(at(Op::Start, 0, 0).is_independent_of(&at(Op::Select, 0, 0)));
    }
}
