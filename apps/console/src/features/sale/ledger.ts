// Postings by transfer: each must balance.
import type { Posting } from '@forecourt/api-client'

export interface Transfer {
  id: string
  at: string
  /** Why money moved. */
  kind: string
  postings: Posting[]
  debitFen: number
  creditFen: number
}

export function transfersOf(postings: readonly Posting[]): Transfer[] {
  const transfers = new Map<string, Transfer>()
  for (const posting of postings) {
    const transfer = transfers.get(posting.transfer_id) ?? {
      id: posting.transfer_id,
      at: posting.at,
      kind: posting.kind,
      postings: [],
      debitFen: 0,
      creditFen: 0,
    }
    transfer.postings.push(posting)
    if (posting.side === 'debit') transfer.debitFen += posting.amount_fen
    else transfer.creditFen += posting.amount_fen
    transfers.set(posting.transfer_id, transfer)
  }
  return [...transfers.values()]
}
