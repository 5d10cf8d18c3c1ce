"""The models of all pipelines: what is dropped, vetted, tried, kept. Control's side; the rules are in `store/`.

Four objects share the work: `IncomingModels` fills the queues, `VetQueue` empties them, `Trials` judges what the worker
does with a new model, `ServingModels` selects what serves. Which model is to serve is always what the state says, so a
restart continues wherever the previous run ended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from inferd import ipc
from inferd.config import settings
from inferd.control.models.candidate_queues import IncomingModels
from inferd.control.models.engine_keys import EngineKey, EngineKeys
from inferd.control.models.select_serving import ModelEnvironment, ServingModels
from inferd.control.models.sleeping_pipelines import SleepingPipelines
from inferd.control.models.trials import Trials
from inferd.control.models.vetting import Concluded, VetQueue
from inferd.control.processes.supervisor import Death
from inferd.system.processes.fork_server import ForkServer
from inferd.system.processes.process import Exit


class Models:
    """Composes the objects above and passes events between them. Owned by control's main thread.

    Attributes:
        state: the store.
        keys: the engine keys of the configuration.
        incoming: the drop folder and the configured paths.
        serving: which model serves each key.
        sleeping: which pipelines sleep.
    """

    def __init__(self, environment: ModelEnvironment) -> None:
        """Start without any pipeline."""
        self.state = environment.state
        self.keys = EngineKeys()
        self.sleeping = SleepingPipelines(environment.clock)
        self.serving = ServingModels(self.keys, environment)
        self.incoming = IncomingModels(self.keys, self.serving, environment)
        self._trials = Trials(self.keys, self.serving, environment)
        self._vet_queue = VetQueue(self.keys, self.serving, self._trials, environment)

    def configure(self, pipelines: Sequence[settings.Pipeline]) -> set[str]:
        """Serve these pipelines from now on; return the names of the engine keys that are new or changed."""
        changed, repurposed = self.keys.configure(pipelines)
        self.sleeping.configure(pipelines)
        if changed:
            self.incoming.list_again()
        self.incoming.look_again(repurposed)
        return changed

    def turn(self, fork_server: ForkServer) -> None:
        """Do everything that has become possible.

        Raises:
            WorkerError: the fork server is gone.
        """
        self.incoming.look()
        for one in self.keys:
            if self.is_awake(one):
                self._trials.check(one)
            self._vet_queue.advance(one, fork_server)
        self.serving.offer_due()
        self.state.retry_save()
        if not any(one.queue.job for one in self.keys):
            self.state.prune()

    def handle_message(self, message: ipc.FromWorker) -> None:
        """Apply what the worker reports about models."""
        match message:
            case ipc.OfferTaken():
                self._loaded(message.engine_key, message.ref.digest)
            case ipc.Counts():
                self._trials.count(message)
            case ipc.OfferRefused():
                self._not_loaded(message.engine_key, message.ref.digest, message.why)
            case ipc.ShadowReplayDone():
                self._trials.replay_done(message)

    def conclude_vetting(self, pid: int, ended: Exit) -> Concluded | None:
        """Apply the verdict of the vet child that has ended; None where `pid` is not a vet child."""
        return self._vet_queue.conclude(pid, ended)

    def pop_changed(self) -> set[str]:
        """Return the keys whose model has changed since the last call, to be offered to the worker."""
        return self.serving.pop_changed()

    def pop_replays(self) -> list[tuple[ipc.ShadowReplay, list[int]]]:
        """Return the replays to request from the worker, each with the descriptor of the previous model."""
        return self._trials.pop_replays()

    def serves_nothing(self, one: EngineKey) -> None:
        """Record that no model serves this key; restart its trial now and when serving resumes."""
        if one.serving:
            one.serving = ""
            self._trials.restart(one)

    def worker_ended(self, death: Death, excused: Collection[str] = ()) -> None:
        """Blame models on trial for the worker's death, except those of `excused` keys."""
        self._trials.worker_ended(death, excused)

    def is_awake(self, one: EngineKey) -> bool:
        """Whether one of the key's pipelines is awake, so that it needs its engine."""
        return any(not self.sleeping.why(name) for name in one.names)

    def assignment(self, one: EngineKey) -> ipc.Assignment:
        """Return a key's entry in the worker's plan: its pipelines that are awake."""
        awake = tuple(pipeline for pipeline in one.pipelines if not self.sleeping.why(pipeline.name))
        return ipc.Assignment(one.key, one.slot, awake)

    def without_model(self) -> list[EngineKey]:
        """Return the keys that have no model, and none that is examined or waits for it."""
        return [one for one in self.keys if one.selected is None and one.queue.idle and not one.retry_why]

    def waiting(self) -> list[EngineKey]:
        """Return the keys that have no model, because one that could serve waits for the disk."""
        return [one for one in self.keys if one.selected is None and one.retry_why]

    def lose_children(self) -> None:
        """Examine again what was being vetted: the fork server died, and all vet children with it."""
        self._vet_queue.lose_children()
        self.incoming.look_again()

    def end_children(self, timeout_s: float) -> None:
        """Kill the vet children and wait for their end."""
        self._vet_queue.end_children(timeout_s)

    def close(self) -> None:
        """Close all files and kill all vet children. Idempotent."""
        self.keys.configure(())

    def _loaded(self, key: str, digest: str) -> None:
        if (one := self.keys.get(key)) is not None:
            one.serving, one.offer_again_ns = digest, 0
            self._trials.loaded(one, digest)

    def _not_loaded(self, key: str, digest: str, why: str) -> None:
        one = self.keys.get(key)
        if one is not None and not self._trials.not_loaded(one, digest, why):
            self.serving.retry_offer(one)
