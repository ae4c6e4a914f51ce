// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// What the server sends: the JSON of cmd/kubectl-canary/view (Item, Page) and cmd/kubectl-canary/dashboard. Times are RFC 3339.

export type State =
  | 'Unknown' | 'Initializing' | 'Healthy' | 'Progressing' | 'Paused' | 'Promoting' | 'Aborting' | 'Aborted' | 'Degraded' | 'Terminating';

export interface Weight {
  verified: number;
  desired: number;
}

export interface Item {
  namespace: string;
  name: string;
  state: State;
  step?: string;
  weight?: Weight;
  revision?: string;
  ready?: string;
  images?: string;
  message?: string;
  createdAt: string;
  outdated?: boolean;
}

export interface About {
  namespaces?: string[];
  notice?: string;
  isReadOnly?: boolean;
  isInCluster?: boolean;
  problem?: string;
}

export interface ListEvent {
  items: Item[];
  gone?: string[];
  isComplete?: boolean;
}

export interface Step {
  what: string;
  details?: string;
  weight: number;
  untilPromoted?: boolean;
  startedAt?: string;
  endedAt?: string;
  waitingSeconds?: number;
}

export interface Pause {
  reason: string;
  startedAt?: string;
  until?: string;
  then?: string;
}

export interface Route {
  kind: string;
  name: string;
  desiredWeight: number;
  verifiedWeight?: number;
  pending?: string;
}

export interface Traffic {
  desiredWeight: number;
  verifiedWeight: number;
  headerRoutes?: string[];
  mirrorPercent?: number;
  routes?: Route[];
}

export interface Metric {
  name: string;
  scope?: string;
  word: string;
  value?: string;
  measurements: number;
  failures?: number;
  errors?: number;
  failureEvidence?: number;
  passEvidence?: number;
  message?: string;
}

export interface Pod {
  name: string;
  reason: string;
  message?: string;
  isReady?: boolean;
  hasFailed?: boolean;
  restarts?: number;
  createdAt: string;
}

export interface Revision {
  name: string;
  role: string;
  images: string[];
  ready: number;
  desired: number;
  total: number;
  createdAt?: string;
  scaledDownAt?: string;
  pods: Pod[];
}

export interface HistoryEntry {
  revision: string;
  images?: string;
  outcome?: string;
  message?: string;
  startedAt?: string;
  endedAt?: string;
  startedBy?: string;
  endedBy?: string;
}

export interface Point {
  at: string;
  revision: string;
  desired: number;
  verified: number;
}

/** What the canary got of the requests that a comparison has counted until a time. */
export interface Sample {
  at: string;
  metric: string;
  percent: number;
  requests: number;
}

export interface KubeEvent {
  at: string;
  type: string;
  reason: string;
  message: string;
  count: number;
}

export type Verb = 'promote' | 'full' | 'abort' | 'retry' | 'pause' | 'resume' | 'image' | 'undo';

export interface Offer {
  verb: Verb;
  refused?: string;
}

export interface Container {
  name: string;
  image: string;
}

/** Where a rollout was when the page was made. The server alone reads it. */
export type Seen = Record<string, unknown>;

export interface Page extends Item {
  phase?: string;
  currentStep: number;
  steps: Step[];
  pause?: Pause;
  traffic?: Traffic;
  metrics: Metric[];
  revisions: Revision[];
  history: HistoryEntry[];
  trouble?: string;
  seen: Seen;
  offers: Offer[];
  containers: Container[];
  points: Point[];
  samples: Sample[];
  events: KubeEvent[];
  problems?: string[];
  deleted?: boolean;
}

export interface Request {
  verb: Verb;
  seen: Seen;
  reason?: string;
  images?: Record<string, string>;
  revision?: string;
}

export interface Stage {
  step?: number;
  name: string;
  what: string;
  pods: { stable: number; canary: number; former?: number };
  weightBefore: number;
  weight: number;
  at: string;
  for: string;
  untilPromoted?: boolean;
  promotions?: number;
}

export interface Forecast {
  steps: number;
  stages: Stage[];
  stableAfter: string;
  doneAfter: string;
  promotions: number;
  peakPods: number;
  unknownMetrics?: string[];
  stuck?: string;
  warnings: { id: string; message: string }[];
}

export interface Answer {
  next?: string;
  forecast?: Forecast;
  error?: string;
}

export const keyOf = (item: { namespace: string; name: string }) => `${item.namespace}/${item.name}`;
