// One sale's story, as the centre would tell it.

const after = (sale, ms) => new Date(Date.parse(sale.opened_at) + ms).toISOString()

export function timelineOf(sale) {
  const before = 8_154_372_500
  const entries = [
    entry(sale, -900, 'device_message', 'device_message.received', { protocol: 'SLP/1', device: '站控-01', message_id: 40_217 }, 'a91c:40217'),
    entry(sale, -620, 'delivery', 'delivery.recorded', {
      quantity_e4: sale.quantity_e4,
      device_unit_price_e4: sale.unit_price_e4,
      device_amount_fen: sale.marks.includes('amount_mismatch') ? sale.gross_fen + 100 : sale.gross_fen,
      totalizer_before_e4: before,
      totalizer_after_e4: before + sale.quantity_e4 + (sale.marks.includes('totalizer_mismatch') ? 1_000 : 0),
      started_at: after(sale, -184_000),
      ended_at: after(sale, -900),
    }, '0delivery00042'),
    entry(sale, -240, 'price', 'price.priced', { unit_price_e4: sale.unit_price_e4, gross_fen: sale.gross_fen, source: 'device' }, null),
    entry(sale, 0, 'state', 'sale.opened', { due_fen: sale.due_fen }, null),
  ]
  if (sale.discount_fen > 0) entries.splice(3, 0, entry(sale, -120, 'promotion', 'promotion.applied', { discount_fen: sale.discount_fen }, null))
  if (sale.paid_fen === 0) return { sale, entries, postings: [] }
  entries.push(
    entry(sale, 52_100, 'payment', 'payment.created', { tender: sale.tenders[0], amount_fen: sale.paid_fen }, '0payment00007'),
    entry(sale, 52_480, 'attempt', 'attempt.create', { out_trade_no: '0pay00007t1', outcome: 'pending' }, '0pay00007t1'),
    entry(sale, 70_900, 'notification', 'notification.received', { channel_no: '4200002611221958', outcome: 'paid' }, '4200002611221958'),
    entry(sale, 71_180, 'ledger', 'ledger.posted', { amount_fen: sale.paid_fen }, '0transfer00031'),
    entry(sale, 71_250, 'state', 'sale.paid', { from_state: 'paying', to_state: 'paid' }, null),
  )
  return { sale, entries, postings: postingsOf(sale) }
}

function entry(sale, ms, kind, title_code, facts, reference) {
  return { at: after(sale, ms), kind, title_code, facts, reference }
}

function postingsOf(sale) {
  const posting = (transfer_id, ms, account, account_name, side) => ({
    transfer_id,
    at: after(sale, ms),
    account,
    account_name,
    side,
    amount_fen: sale.paid_fen,
  })
  return [
    posting('0transfer00031', 71_180, '1122.01', 'channel_receivable', 'debit'),
    posting('0transfer00031', 71_180, '2203.01', 'receipts_unallocated', 'credit'),
    posting('0transfer00032', 71_200, '2203.01', 'receipts_unallocated', 'debit'),
    posting('0transfer00032', 71_200, '2202.01', 'operator_payable', 'credit'),
  ]
}
